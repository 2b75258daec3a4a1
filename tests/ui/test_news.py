"""News that arrive on a page take nothing away: no step, no text that was typed, no choice that is open, no focus."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Locator, Page, expect

from gift_core.comparison import compare
from tests.ui.component_site import Site
from tests.ui.evaluation_data import Shown
from tests.ui.evaluation_data import publish as publish_evaluations
from tests.ui.mounting import Mount
from tests.ui.test_evaluation_components import section
from tests.ui.test_player import step
from tests.ui.test_queue_component import RUNNING, job, publish
from tests.ui.trace_data import IN_ORDER, Stream, awaited, entry, trace
from ui.components import view
from workers.records import JobState

pytestmark = pytest.mark.e2e

CHIP = ".gs-panes .gs-chip"
KEEP = "(node, name) => { window[name] = node; }"
# What Gradio gives the script of a view: its element, its value, and a way to be told of changes.
GRADIO = """([script, value]) => {
  window.told = [];
  window.props = { value };
  const element = document.getElementById('host');
  element.innerHTML = '<div class="gift-host"></div>';
  const watch = (_, tell) => told.push(tell);
  new Function('element', 'trigger', 'props', 'watch', script)(element, () => {}, window.props, watch);
}"""


def response(page: Page, label: str) -> Locator:
    return page.get_by_role("listbox", name=f"{label}: response", exact=True)


def edit(page: Page, label: str, position: int, text: str) -> None:
    response(page, label).get_by_role("option").nth(position).click()
    page.get_by_label(re.compile("^Text from here on")).fill(text)
    page.get_by_role("button", name="Put text here").click()


def is_same(locator: Locator, name: str) -> bool:
    return bool(locator.evaluate("(node, name) => node === window[name]", name))


def test_a_trace_that_has_ended_is_loading_until_its_steps_are_here(mount: Mount, site: Site) -> None:
    stream = Stream(site, "a", trace("GIFT", IN_ORDER))
    page = mount("denoise", {"traces": [awaited("a", "finished")], "api": "/api"})
    expect(page.locator(CHIP)).to_have_text("loading")
    for control in (step(page), page.get_by_role("button", name="Play")):
        expect(control).to_be_disabled()
    stream.finish()
    expect(page.locator(CHIP)).to_have_text("finished")
    step(page).fill("4")
    edit(page, "GIFT", 3, "9")
    expect(page.get_by_role("button", name="Branch from step 4")).to_be_enabled()


def test_a_value_that_is_told_of_twice_is_drawn_once(page_of_gradio: Page) -> None:
    page = page_of_gradio
    step(page).fill("4")
    edit(page, "GIFT", 3, "9")
    page.evaluate("told.forEach((tell) => tell())")
    expect(step(page)).to_have_value("4")
    expect(page.get_by_role("button", name="Branch from step 4")).to_be_enabled()
    page.evaluate("() => { props.value = '{}'; told.forEach((tell) => tell()); }")
    expect(page.locator(".gs-empty")).to_be_visible()


@pytest.fixture
def page_of_gradio(mount: Mount) -> Page:
    """A trace that a view of Gradio's shows."""
    page = mount("denoise", {})
    script = str(view("denoise", "player").js_on_load)
    value = json.dumps({"traces": [entry(trace("GIFT", IN_ORDER))], "api": "/api"})
    page.evaluate(GRADIO, [script, value])
    expect(page.locator(CHIP)).to_have_text("finished")
    return page


def test_text_that_is_typed_stays_while_another_trace_ends(mount: Mount, site: Site) -> None:
    other = trace("SFT", IN_ORDER)
    assert other.end is not None
    # Two of its tokens are one glyph, which is known at the end only: its cells are drawn anew.
    other.end.response[1] = other.end.response[1].model_copy(update={"glyph": other.end.response[0].glyph})
    stream = Stream(site, "b", other)
    page = mount("denoise", {"traces": [entry(trace("GIFT", IN_ORDER), "a"), awaited("b")], "api": "/api"})
    stream.publish(3)
    expect(page.locator(CHIP)).to_have_text(["finished", "step 2"])
    response(page, "GIFT").get_by_role("option").nth(3).click()
    typed = page.get_by_label(re.compile("^Text from here on"))
    typed.fill("not yet")
    before = response(page, "SFT").get_by_role("option").count()
    stream.finish()
    expect(response(page, "SFT").get_by_role("option")).to_have_count(before - 1)
    expect(page.locator(CHIP).last).to_have_text("finished")
    expect(typed).to_have_value("not yet")
    expect(typed).to_be_focused()


def test_closing_a_trace_keeps_the_step_and_the_edits_of_the_others(mount: Mount) -> None:
    traces = [entry(trace(label, IN_ORDER), label) for label in ("GIFT", "SFT")]
    page = mount("denoise", {"traces": traces, "api": "/api"})
    step(page).fill("4")
    edit(page, "GIFT", 3, "9")
    page.get_by_role("button", name="Close SFT").click()
    expect(page.locator(CHIP)).to_have_count(1)
    expect(step(page)).to_have_value("4")
    expect(page.get_by_role("list", name="Edits")).to_contain_text("3: “9”")


def test_a_branch_takes_its_own_edits_along_and_leaves_those_of_others(mount: Mount, site: Site) -> None:
    traces = [entry(trace(label, IN_ORDER), label) for label in ("GIFT", "SFT")]
    page = mount("denoise", {"traces": traces, "api": "/api"})
    edit(page, "GIFT", 3, "9")
    edit(page, "SFT", 5, "8")
    page.get_by_role("button", name="Branch").first.click()
    known = [{"id": label, "label": label, "state": "running"} for label in ("GIFT", "SFT")]
    # Refused: nothing new is shown, and the edits can be changed and sent again.
    edits = page.locator(".gs-edit-chips")
    expect(edits).to_have_text(["3: “9”×", "5: “8”×"])
    page.evaluate("data => component.update(data)", {"traces": [*known, awaited("b")], "api": "/api"})
    expect(edits).to_have_text(["", "5: “8”×"])


def test_an_open_choice_stays_while_a_trace_brings_steps(mount: Mount, site: Site) -> None:
    one, other = trace("GIFT", IN_ORDER), trace("SFT", IN_ORDER, swap_at=2)
    site.documents["comparisons?first=a&second=b"] = compare(one, other).model_dump(mode="json")
    stream = Stream(site, "c", trace("Base", IN_ORDER))
    page = mount("denoise", {"traces": [entry(one, "a"), entry(other, "b"), awaited("c", label="Base")], "api": "/api"})
    choice = page.get_by_label("Compared first")
    choice.focus()
    choice.evaluate(KEEP, "choice")
    stream.publish(4)
    expect(page.locator(CHIP).last).to_have_text("step 3")
    expect(choice).to_be_focused()
    assert is_same(choice, "choice")


def test_news_of_a_job_leave_its_links_and_the_focus_alone(mount: Mount, site: Site) -> None:
    publish(site)
    page = mount("queue", {"api": "api"})
    ended = page.get_by_role("region", name="Ended")
    link = page.get_by_role("region", name="Running").get_by_role("link", name="Open")
    link.evaluate(KEEP, "link")
    link.focus()
    site.publish("job", job("run_1", "running", **RUNNING | {"step": 7}))
    expect(page.get_by_role("region", name="Running")).to_contain_text("7 of 9")
    assert is_same(link, "link")
    expect(link).to_be_focused()
    # A row that comes above another one does not take that out of the page.
    resume = ended.get_by_role("button", name="Resume")
    resume.focus()
    listed = site.documents["jobs?ended=true&limit=20"]
    listed["items"] = [job("run_9", "finished", started=1.0, ended=9.0), *listed["items"]]
    site.publish("job", job("run_9", "finished", started=1.0, ended=9.0))
    expect(ended.get_by_role("listitem")).to_have_count(3)
    expect(resume).to_be_focused()
    # Nor does one that changes its place.
    listed["items"] = listed["items"][::-1]
    site.publish("job", job("run_8", "finished", started=1.0, ended=9.0))
    expect(ended.get_by_role("listitem").last).to_contain_text("finished")
    expect(resume).to_be_focused()


def test_the_end_of_an_evaluation_leaves_the_answers_where_they_were_read(mount: Mount, site: Site) -> None:
    verdicts = [True] * 20
    running = Shown("GIFT", [verdicts[:15]], state=JobState.RUNNING)
    page = mount("evaluation", publish_evaluations(site, running))
    answers = section(page, "Answers")
    answers.get_by_role("button", name="Show the answers so far").click()
    answers.get_by_role("button", name="7", exact=True).click()
    expect(answers.get_by_label("Response of GIFT")).to_be_visible()
    publish_evaluations(site, Shown("GIFT", [verdicts]))
    site.publish("job", {"id": running.order.id})
    expect(page.get_by_role("article", name="GIFT")).to_contain_text("finished")
    expect(answers.locator("tbody tr:visible > th")).to_have_count(20)
    expect(answers.get_by_role("button", name="7", exact=True)).to_have_attribute("aria-expanded", "true")
    expect(answers.get_by_label("Response of GIFT")).to_be_visible()
