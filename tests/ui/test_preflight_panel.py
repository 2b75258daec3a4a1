"""The panel "Before you launch": it waits for a pause, shows the newest answer only, and leads to what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from gift_core.machine import Machine
from gift_core.preflight_report import Surroundings, report
from tests.ui.component_data import HOSTILE
from tests.ui.mounting import Mount
from ui.forms import SECTIONS, field_id
from ui.pages.launch_preflight import key_of, places

pytestmark = pytest.mark.e2e

SMALL = {"run": {"data": {"source": {"kind": "task", "examples": 16}, "held_out": 100}}}
FORM = """() => {
  const form = document.createElement('div');
  form.innerHTML = `<div id="section-training"><button class="label-wrap"></button><div hidden>
    <div id="field-training-epochs"><input></div></div></div>`;
  const [button, fields] = form.firstChild.children;
  button.onclick = () => { button.classList.add('open'); setTimeout(() => { fields.hidden = false; }, 50); };
  document.body.append(form);
}"""


def asked(experiment: dict[str, Any]) -> dict[str, Any]:
    return {"key": key_of(experiment), "experiment": experiment, "places": places()}


def answered(experiment: dict[str, Any]) -> dict[str, Any]:
    found = report(experiment, Path, Surroundings(machine=Machine(2**34, 2**35, 2**36)))
    return {"key": key_of(experiment), "report": found.model_dump(mode="json")}


def update(page: Page, data: object) -> None:
    page.evaluate("(data) => window.component.update(data)", data)


def looks(page: Page) -> list[str]:
    return [payload["key"] for name, payload in page.evaluate("window.actions") if name == "check"]


def test_it_asks_after_a_pause_and_for_the_newest_only(mount: Mount) -> None:
    experiments = [SMALL | {"name": str(number)} for number in range(4)]
    page = mount("preflight", None)
    # In one go, so that no pause of the machine's comes between them.
    page.evaluate("(all) => all.forEach((one) => window.component.update(one))", [asked(one) for one in experiments])
    page.wait_for_function("window.actions.length")
    assert looks(page) == [key_of(experiments[-1])]
    update(page, asked(experiments[-1]))
    expect(page.get_by_role("status")).to_have_text("looking…")
    update(page, answered(experiments[0]))
    expect(page.locator(".gs-facts")).to_have_count(0)
    update(page, answered(experiments[-1]))
    expect(page.locator(".gs-facts")).to_contain_text("Steps of a run")
    expect(page.get_by_role("status")).to_have_text("can be launched")
    # What was found stays in sight while another look is taken.
    update(page, asked(SMALL))
    expect(page.locator("[aria-busy=true] .gs-facts")).to_have_count(1)
    page.wait_for_function("window.actions.length === 2")


def test_numbers_are_those_of_the_report(mount: Mount) -> None:
    page = mount("preflight", asked(SMALL))
    update(page, answered(SMALL))
    facts = page.locator(".gs-facts")
    expect(facts).to_contain_text("1,200, 768 learned")
    expect(facts).to_contain_text("of 16.0\u00a0GiB free")
    expect(facts).to_contain_text("not known")


@pytest.mark.parametrize(
    ("basis", "high", "shown"),
    [
        ("measured", 540.0, "about 6\u00a0min (usually 4\u00a0min to 9\u00a0min)"),
        ("measured", 240.0, "about 6\u00a0min"),
        ("computed", 6000.0, "about 6\u00a0min, a rough guess"),
    ],
)
def test_the_time_is_one_number_and_how_it_was_estimated_is_folded(
    mount: Mount, basis: str, high: float, shown: str
) -> None:
    page = mount("preflight", asked(SMALL))
    answer = answered(SMALL)
    time = {"label": "all runs", "likely": 360.0, "low": 240.0, "high": high, "basis": basis, "explanation": "So."}
    answer["report"]["estimates"] |= {"time": time, "time_by_run": []}
    update(page, answer)
    expect(page.locator(".gs-facts dd").nth(1)).to_have_text(shown)
    expect(page.get_by_text("So.")).to_be_hidden()
    page.get_by_text("How the time was estimated").click()
    expect(page.get_by_text("So.")).to_be_visible()


def test_a_problem_leads_to_its_field(mount: Mount) -> None:
    wrong = {"run": {"training": {"epochs": 0, HOSTILE: 1}}, "seeds": ["x"]}
    page = mount("preflight", asked(wrong))
    page.evaluate(FORM)
    update(page, answered(wrong))
    problems = page.get_by_role("list", name="Problems")
    expect(problems.get_by_role("listitem")).to_have_count(3)
    expect(problems).to_contain_text(HOSTILE)
    expect(page.locator("#host img, #host script")).to_have_count(0)
    page.get_by_role("button", name="training.epochs").click()
    expect(page.locator("#field-training-epochs input")).to_be_focused()


def test_a_backend_that_does_not_answer_is_said_so(mount: Mount) -> None:
    page = mount("preflight", asked(SMALL))
    update(page, {"key": key_of(SMALL), "problems": [{"field": "", "message": "It is away.", "remedy": "Wait."}]})
    expect(page.locator(".gs-note").last).to_have_text("It is away. Wait.")


def test_without_a_file_nothing_of_the_last_look_is_left(mount: Mount) -> None:
    page = mount("preflight", asked(SMALL))
    update(page, answered(SMALL))
    expect(page.locator(".gs-facts")).to_have_count(1)
    update(page, {"key": "", "experiment": None, "places": {}})
    expect(page.get_by_role("status")).to_have_text("no file is there yet")
    expect(page.locator(".gs-facts")).to_have_count(0)


def test_every_field_of_the_form_has_a_place() -> None:
    assert all(places()[path][0] == field_id(path) for paths in SECTIONS.values() for path in paths)
