"""The browser components around runs: the live board, the experiments, problems and the preview of a data set."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from gift_core.dataset_summary import Duplicates
from tests.ui.component_data import points, preview, run_view
from tests.ui.component_site import Site
from tests.ui.mounting import Mount, hold_time, states

pytestmark = pytest.mark.e2e

RUNS = {"experiment": "e1", "api": "/api", "links": {"tokens": "/tokens?experiment={experiment}&run={run}"}}

# Runs


def wait_for_points(page: Page, count: int) -> None:
    """Wait until that many points of the first curve are drawn."""
    page.wait_for_function("count => document.querySelector('.gs-chart').calcdata?.[0]?.length === count", arg=count)


def test_the_chart_keeps_its_zoom_while_points_arrive(mount: Mount, site: Site) -> None:
    site.publish("run", run_view("r1", "SFT"))
    site.publish("metrics", {"run_id": "r1", "points": points(0, 50)})
    page = mount("runs", RUNS)
    wait_for_points(page, 50)
    page.evaluate("Plotly.relayout(document.querySelector('.gs-chart'), { 'xaxis.range': [10, 20] })")
    site.publish("metrics", {"run_id": "r1", "points": points(50, 80)})
    wait_for_points(page, 80)
    assert page.evaluate("document.querySelector('.gs-chart').layout.xaxis.range") == [10, 20]
    assert page.locator("[data-title*='hare']").count() == 0


def test_a_lost_connection_is_told_and_brings_nothing_twice(mount: Mount, site: Site) -> None:
    site.publish("run", run_view("r1", "SFT"))
    site.publish("metrics", {"run_id": "r1", "points": points(0, 30)})
    page = mount("runs", RUNS)
    wait_for_points(page, 30)
    page.evaluate("""() => {
      window.told = [];
      const status = document.querySelector('.gs-status');
      new MutationObserver(() => told.push(status.textContent)).observe(status, { childList: true });
    }""")
    site.drop_streams()
    page.wait_for_function("told.some((text) => text.startsWith('reconnecting')) && told.at(-1) === 'live'")
    site.publish("metrics", {"run_id": "r1", "points": points(25, 40)})
    wait_for_points(page, 40)


def test_stopping_asks_once_more(mount: Mount, site: Site) -> None:
    site.publish("run", run_view("r1", "SFT"))
    page = mount("runs", RUNS)
    page.get_by_role("button", name="Stop").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Stop")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("actions") == []
    page.get_by_role("button", name="Stop and save").click()
    assert page.evaluate("actions") == [["stop", {"run": "r1"}]]
    expect(page.get_by_role("button", name="Stopping…")).to_be_disabled()
    # Saving takes its time: nothing may be worth keeping after all.
    site.publish("run", run_view("r1", "SFT", "stopping"))
    page.get_by_role("button", name="Stopping…").click()
    expect(page.get_by_role("button", name="Stop and save")).to_be_hidden()
    page.get_by_role("button", name="Discard").click()
    assert page.evaluate("actions").pop() == ["discard", {"run": "r1"}]
    site.publish("run", run_view("r1", "SFT", "stopped"))
    expect(page.locator(".gs-chip")).to_contain_text("stopped")
    expect(page.get_by_role("button", name="Stopping…")).to_be_hidden()


def test_what_has_not_finished_is_resumed_or_begun_again(mount: Mount, site: Site) -> None:
    site.publish("run", run_view("r1", "SFT", "stopped"))
    page = mount("runs", RUNS)
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Start over")).to_be_disabled()
    site.publish("run", run_view("r1", "SFT", "queued"))
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    site.publish("run", run_view("r1", "SFT", "failed"))
    page.get_by_role("button", name="Start over").click()
    assert page.evaluate("actions") == [["resume", {"run": "r1"}], ["retry", {"run": "r1"}]]
    site.publish("run", run_view("r1", "SFT", "finished"))
    expect(page.get_by_role("button", name="Resume")).to_be_hidden()


def test_what_was_refused_or_had_no_effect_can_be_pressed_again(mount: Mount, site: Site) -> None:
    site.publish("run", run_view("r1", "SFT"))
    site.publish("run", run_view("r2", "GIFT", "stopped"))
    page = mount("runs", RUNS)
    page.get_by_role("button", name="Stop").click()
    hold_time(page)
    page.get_by_role("button", name="Stop and save").click()
    page.get_by_role("button", name="Resume").click()
    page.clock.run_for(9_000)
    expect(page.get_by_role("button", name="Stopping…")).to_be_disabled()
    expect(page.get_by_role("button", name="Resume")).to_be_disabled()
    page.clock.run_for(2_000)
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_enabled()
    expect(page.get_by_role("button", name="Resume")).to_be_enabled()
    page.get_by_role("button", name="Start over").click()
    expect(page.get_by_role("button", name="Resume")).to_be_disabled()
    page.evaluate("async () => (await import('/assets/press.js')).refused()")
    expect(page.get_by_role("button", name="Resume")).to_be_enabled()


def test_a_run_with_weights_is_trained_on_for_as_many_epochs_as_are_wanted(mount: Mount, site: Site) -> None:
    site.publish("run", run_view("r1", "SFT"))
    page = mount("runs", RUNS)
    card = page.get_by_role("article").first
    begin, train = (card.get_by_role("button", name=name, exact=True) for name in ("Train on", "Train"))
    epochs = card.get_by_label("More epochs")
    expect(card.get_by_role("button", name="Stop")).to_be_visible()
    expect(begin).to_be_hidden()
    site.publish("run", run_view("r1", "SFT", "stopped", result={"seconds": 2.0, "final_loss": 0.4}))
    begin.click()
    expect(epochs).to_be_focused()
    page.keyboard.press("Escape")
    expect(begin).to_be_focused()
    page.keyboard.press("Enter")
    for wrong in ("0", "1001", "1.5", ""):
        epochs.fill(wrong)
        train.click()
    assert page.evaluate("actions") == []
    epochs.fill("3")
    epochs.press("Enter")
    expect(train).to_be_disabled()
    epochs.press("Enter")
    ((name, asked),) = page.evaluate("actions")
    assert (name, asked["run"], asked["epochs"]) == ("train_on", "r1", 3)
    # What was refused is asked again under the same key.
    page.evaluate("async () => (await import('/assets/press.js')).refused()")
    train.click()
    assert page.evaluate("actions").pop() == ["train_on", asked]
    site.publish("run", run_view("r2", "SFT + 3 epochs", "queued"))
    expect(page.get_by_role("article")).to_have_count(2)
    expect(begin).to_be_visible()
    expect(epochs).to_be_hidden()
    begin.click()
    expect(epochs).to_have_value("1")
    train.click()
    assert page.evaluate("actions").pop()[1]["key"] != asked["key"]


def test_a_run_without_weights_is_not_trained_on_but_cloned(mount: Mount, site: Site) -> None:
    site.publish("run", run_view("r1", "SFT", "failed"))
    site.publish("run", run_view("r2", "GIFT", "finished", result={"final_loss": 0.4}, files_removed=1.0))
    site.publish("run", run_view("r3", "CART", "stopped"))
    links = {"clone": "./?from={run}", "again": "./?from={experiment}"}
    page = mount("runs", {**RUNS, "name": "A pair", "links": links})
    expect(page.get_by_role("article")).to_have_count(3)
    expect(page.get_by_role("button", name="Train on")).to_have_count(0)
    expect(page.get_by_role("link", name="Clone", exact=True).nth(1)).to_have_attribute("href", "./?from=r2")
    expect(page.get_by_role("link", name="Clone all")).to_have_attribute("href", "./?from=e1")


def test_a_filled_form_says_from_what_and_what_it_lacks(mount: Mount) -> None:
    problem = {"field": "model.name", "message": "<i>big</i> is not offered.", "remedy": "Choose another."}
    page = mount("origin", {"name": "SFT of <b>first</b>", "href": "runs?experiment=e1", "left": [problem]})
    expect(page.get_by_role("link", name="SFT of <b>first</b>")).to_have_attribute("href", "runs?experiment=e1")
    expect(page.get_by_role("listitem")).to_have_text("model.name <i>big</i> is not offered. Choose another.")
    page.evaluate("component.update({ name: 'SFT', href: 'runs', left: [] })")
    expect(page.get_by_text("Not taken over")).to_have_count(0)


def test_cards_show_progress_score_and_failure(mount: Mount, site: Site) -> None:
    score = {"correct": 101, "n": 128, "share": 0.789, "low": 0.71, "high": 0.85}
    failure = {"code": "training", "message": "<b>no</b>", "field": "training.epochs", "remedy": "Lower it."}
    page = mount("runs", RUNS)
    expect(page.get_by_text("Loading the runs…")).to_be_visible()
    site.publish("run", run_view("r1", "SFT"))
    card = page.get_by_role("article").first
    expect(card.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "70")
    for text in ("running", "training", "step 70 of 160", "9,012", "12 s"):
        expect(card).to_contain_text(text)
    site.publish("run", run_view("r1", "SFT", "finished", ended=1_790_000_032.0, result={"score": score}))
    for text in ("finished", "31 s", "79 % [71, 85]", "101 of 128 solved"):
        expect(card).to_contain_text(text)
    expect(card.get_by_role("link", name="Tokens")).to_have_attribute("href", "/tokens?experiment=e1&run=r1")
    expect(card.get_by_role("link", name="Spec (YAML)")).to_have_attribute("href", "/api/runs/r1/spec")
    site.publish("run", run_view("r2", "GIFT", "failed", failure=failure))
    failed = page.get_by_role("article").nth(1)
    for text in ("failed", "<b>no</b>", "training.epochs", "Lower it."):
        expect(failed).to_contain_text(text)
    expect(failed.get_by_role("link", name="Log")).to_have_attribute("href", "/api/runs/r2/log")


def test_runs_stand_in_the_order_of_the_experiment_whichever_is_heard_of_first(mount: Mount, site: Site) -> None:
    page = mount("runs", RUNS)
    site.publish("run", run_view("r2", "GIFT"))
    expect(page.get_by_role("article")).to_have_count(1)
    site.publish("run", run_view("r1", "SFT", "finished"))
    expect(page.get_by_role("article").get_by_role("heading")).to_have_text(["SFT", "GIFT"])


def test_training_losses_come_with_a_caution_that_leads_to_the_comparable_one(mount: Mount, site: Site) -> None:
    site.publish("run", run_view("r1", "SFT"))
    page = mount("runs", RUNS)
    page.get_by_role("button", name="held-out loss").click()
    expect(page.get_by_label("Metric")).to_have_value("eval_loss")
    expect(page.get_by_role("button", name="held-out loss")).to_be_hidden()


def test_a_card_counts_what_is_probed_before_the_first_step(mount: Mount, site: Site) -> None:
    probing = {"step": 0, "total_steps": None, "phase": "probing"}
    site.publish("run", run_view("r1", "GIFT", **probing))
    page = mount("runs", RUNS)
    phase = page.locator(".gs-phase")
    expect(phase).to_have_text("probing")
    values = {"probed": 320, "to_probe": 1000}
    site.publish("metrics", {"run_id": "r1", "points": [{"cursor": 1, "step": 0, "time": 0.0, "values": values}]})
    expect(phase).to_have_text("probing 320 of 1,000")
    site.publish("run", run_view("r1", "GIFT"))
    expect(phase).to_have_text("training")


def test_a_loss_that_falls_on_the_tail_is_warned_of_while_it_does(mount: Mount, site: Site) -> None:
    site.publish("run", run_view("r1", "GIFT"))
    page = mount("runs", RUNS)
    card = page.get_by_role("article")
    warning = card.locator(".gs-warning")
    for step, share in enumerate((0.61, 0.5), start=1):
        values = {"loss": 1.0, "tail_loss_share": share}
        point = {"cursor": step, "step": step, "time": 0.0, "values": values}
        site.publish("metrics", {"run_id": "r1", "points": [point]})
        if share > 0.5:
            expect(warning).to_contain_text("61 % of the loss falls on the end-of-text tail")
            expect(warning).to_contain_text("“one”")
    expect(warning).to_be_hidden()


def test_leaving_the_page_closes_the_stream(mount: Mount, site: Site) -> None:
    page = mount("runs", RUNS)
    assert site.wait_for_streams(1)
    page.evaluate("document.getElementById('host').remove()")
    assert site.wait_for_streams(0)


# Data set preview


def test_the_preview_shows_what_is_learned(mount: Mount) -> None:
    page = mount("preview", preview())
    columns = page.get_by_role("list", name="Columns").get_by_role("listitem")
    assert [text.split() for text in columns.all_inner_texts()] == [
        ["question", "prompt"], ["answer", "response"]
    ]  # fmt: skip
    expect(page.locator(".gs-preview")).to_contain_text("Not used: source")
    assert set(states(page, "Row 1: prompt")) == {"prompt"}
    assert states(page, "Row 1: response") == ["learned"] * 7 + ["tail"] * 3
    expect(page.get_by_role("alert")).to_have_count(0)
    page.evaluate("data => component.update(data)", json.loads(preview(0.62).model_dump_json()))
    expect(page.get_by_role("alert")).to_contain_text("62 %")


def test_the_preview_of_a_conversation_says_what_is_learned_cut_and_repeated(mount: Mount) -> None:
    found = Duplicates(
        repeated_rows=2, conflicting_prompts=1, conflicting_rows=2, repeated=[[1, 4, 7]], conflicting=[[2, 3]]
    )
    rows = [row.model_copy(update={"cut": 5}) for row in preview().examples]
    changes = {"response_column": "question", "system_column": "source", "duplicates": found, "examples": rows}
    changes |= {"used_columns": ["source", "question"], "unused_columns": ["answer"]}
    page = mount("preview", preview().model_copy(update=changes | {"overlong": 9, "truncated": 9, "dropped": 0}))
    columns = page.get_by_role("list", name="Columns").get_by_role("listitem")
    assert [text.split() for text in columns.all_inner_texts()] == [
        ["source", "system", "prompt"], ["question", "conversation"]
    ]  # fmt: skip
    expect(page.locator(".gs-preview")).to_contain_text("Not used: answer")
    expect(page.locator(".gs-preview")).to_contain_text("the last message of the assistant is learned")
    assert states(page, "Row 1: response") == ["learned"] * 5 + ["cut"] * 5
    expect(page.locator(".gs-facts")).to_contain_text(": 9 cut")
    said = page.get_by_role("list", name="Rows that say the same").get_by_role("listitem")
    assert said.all_inner_texts() == [
        "Rows that repeat an earlier one: 2 (1 = 4 = 7)",
        "Prompts with different responses: 1 (rows 2 = 3)",
    ]


def test_a_long_list_of_problems_can_be_taken_along(mount: Mount) -> None:
    problems = [{"field": f"row {n}", "message": "=It is empty.", "remedy": "Fill it in."} for n in range(1, 8)]
    page = mount("problems", {"title": "This file cannot be used", "problems": problems})
    with page.expect_download() as download:
        page.get_by_role("button", name="Save this list as CSV").click()
    header, *rows = csv.reader(io.StringIO(download.value.path().read_text("utf-8")))
    assert header == ["where", "problem", "remedy"]
    assert rows == [[f"row {n}", "'=It is empty.", "Fill it in."] for n in range(1, 8)]


EMPTY = [
    *(("inspection", {}), ("denoise", {"traces": []}), ("runs", {}), ("preview", {}), ("dataset", {})),
    *(("evaluation", {}), ("evaluations", {"evaluations": []}), ("experiments", {"api": "/api", "experiments": []})),
]


@pytest.mark.parametrize(("component", "data"), EMPTY)
def test_without_data_a_component_says_what_will_be_there(mount: Mount, component: str, data: Any) -> None:
    expect(mount(component, data).locator(".gs-empty:not(.gs-loading)")).to_be_visible()


@pytest.mark.parametrize("component", [component for component, _ in EMPTY])
def test_nothing_is_called_empty_before_the_data_is_there(mount: Mount, component: str) -> None:
    page = mount(component, None)
    expect(page.locator("#host")).to_have_text(re.compile("^Loading the [a-z ]+…$"))


# Experiments


def test_experiments_follow_their_runs_until_these_have_ended(mount: Mount, site: Site) -> None:
    runs = [{"id": "r1", "label": "SFT", "state": "finished"}, {"id": "r2", "label": "GIFT", "state": "running"}]
    entries = [
        {
            "id": name,
            "name": f"<b>{name}</b>",
            "created": 1_790_000_000.0,
            "href": f"runs?experiment={name}",
            "runs": runs,
        }
        for name in ("e1", "e2")
    ]
    page = mount("experiments", {"selected": "e2", "api": "/api", "experiments": entries})
    links = page.get_by_role("navigation", name="Experiments").get_by_role("link")
    expect(links).to_have_count(2)
    expect(links.first).to_contain_text("<b>e1</b>")
    expect(links.first).to_have_attribute("href", "runs?experiment=e1")
    expect(links.nth(1)).to_have_attribute("aria-current", "page")
    states = links.first.locator("[data-state]")
    expect(states.nth(1)).to_have_attribute("data-state", "running")
    # What happened before the stream began is asked for, and what happens then is told.
    site.runs = [run_view("r1", "SFT", "finished"), run_view("r2", "GIFT", "failed")]
    site.publish("queue", {"paused": False, "waiting": []})
    expect(states.nth(1)).to_have_attribute("data-state", "failed")
    site.publish("job", run_view("r2", "GIFT", "queued"))
    expect(states).to_have_text(["✓SFT finished", "○GIFT queued"])
    expect(links.nth(1).locator("[data-state]")).to_have_text(["✓SFT finished", "✕GIFT failed"])


def test_the_parts_of_a_page_share_one_stream(mount: Mount, site: Site) -> None:
    site.publish("run", run_view("r1", "SFT"))
    page = mount("runs", RUNS)
    expect(page.get_by_role("article")).to_have_count(1)
    page.evaluate(
        """async (data) => {
          const { mount } = await import('/assets/experiments.js');
          mount(document.body.appendChild(document.createElement('div')), { data });
        }""",
        {"selected": "e1", "api": "/api", "experiments": [{**ENTRY, "id": "e1", "name": "A pair"}]},
    )
    run = page.get_by_role("navigation", name="Experiments").locator("[data-state]")
    expect(run).to_have_text("◐SFT running")
    site.publish("job", run_view("r1", "SFT", "finished"))
    expect(run).to_have_text("✓SFT finished")
    assert site.wait_for_streams(1)


ENTRY = {"created": 1.0, "href": "runs?experiment=e1", "runs": [{"id": "r1", "label": "SFT", "state": "running"}]}


# Problems


def test_a_problem_leads_to_its_field(mount: Mount) -> None:
    problem = {"field": "priority", "message": "Too high.", "remedy": "Lower it."}
    data = {"title": "No", "problems": [problem], "places": {"priority": ["field-priority", "section-queue"]}}
    page = mount("problems", data)
    page.evaluate("""() => document.body.insertAdjacentHTML('beforeend', `<div id="section-queue">
      <button onclick="document.getElementById('field-priority').hidden = false; this.className = 'open'">Queue</button>
      <div id="field-priority" hidden><input></div></div>`)""")
    page.get_by_role("button", name="priority").click()
    expect(page.locator("#field-priority input")).to_be_focused()


def test_problems_name_their_field_and_remedy_and_go_away(mount: Mount) -> None:
    problem = {"field": "training.epochs", "message": "<i>Too many.</i>", "remedy": "Lower it."}
    data = {"title": "Nothing was launched", "problems": [problem, {"field": "", "message": "And this.", "remedy": ""}]}
    page = mount("problems", data)
    alert = page.get_by_role("alert")
    expect(alert.get_by_role("heading")).to_have_text("Nothing was launched")
    expect(alert.locator("code")).to_have_text(["training.epochs"])
    expect(alert.get_by_role("listitem")).to_have_count(2)
    for text in ("<i>Too many.</i>", "Lower it.", "And this."):
        expect(alert).to_contain_text(text)
    page.evaluate("component.update(null)")
    expect(alert).to_have_count(0)
