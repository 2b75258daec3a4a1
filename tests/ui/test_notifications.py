"""Notifications of the browser: asked for by a press, and shown once for what happens while the page is open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.ui.component_data import run_view
from tests.ui.component_site import Site
from tests.ui.mounting import Mount

pytestmark = pytest.mark.e2e

RUNS = {"experiment": "e1", "name": "An experiment", "api": "/api"}
# A headless browser grants or refuses without a dialogue, and shows nothing: what would be shown is written down.
SHOWN = """(answer) => {
  window.shown = [];
  class Shown extends EventTarget {
    static permission = 'default';
    static requestPermission() { Shown.permission = answer; return Promise.resolve(answer); }
    constructor(title, { body, tag }) { super(); shown.push([title, body, tag]); }
  }
  window.Notification = Shown;
}"""
Told = Callable[..., Page]


@pytest.fixture
def opened(mount: Mount, site: Site) -> Told:
    """The Runs page, on which the person answers so when asked for permission."""

    def open_page(answer: str = "granted") -> Page:
        # `mount` goes to the page once; the second time it only puts the component there again.
        page = mount("problems", None)
        page.evaluate(SHOWN, answer)
        page.evaluate(
            """async (data) => {
              const { mount } = await import('/assets/runs.js');
              mount(document.getElementById('host'), { data, onAction() {} });
            }""",
            RUNS,
        )
        return page

    return open_page


def test_nothing_is_asked_or_told_before_the_bell_is_pressed(opened: Told, site: Site) -> None:
    page = opened()
    site.publish("run", run_view("r1", "SFT"))
    site.publish("run", run_view("r1", "SFT", "finished"))
    expect(page.locator(".gs-chip")).to_contain_text("finished")
    assert page.evaluate("[shown.length, Notification.permission]") == [0, "default"]


def test_ends_are_told_once_and_what_was_over_before_is_not(opened: Told, site: Site) -> None:
    score: dict[str, Any] = {"correct": 101, "n": 128, "share": 0.789, "low": 0.71, "high": 0.85}
    failure = {"code": "nan_loss", "message": "The loss is not a number.", "field": "", "remedy": "Lower the rate."}
    site.publish("run", run_view("r0", "Old", "finished"))
    site.publish("run", run_view("r1", "SFT"))
    site.publish("run", run_view("r2", "GIFT", "queued"))
    page = opened()
    page.get_by_role("button", name="Notify me").click()
    expect(page.get_by_role("button", name="Notify me")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("article")).to_have_count(3)
    site.publish("run", run_view("r1", "SFT", "finished", result={"score": score}))
    site.publish("run", run_view("r2", "GIFT"))
    site.publish("run", run_view("r2", "GIFT", "failed", failure=failure))
    page.wait_for_function("shown.length === 2")
    # A connection that was lost brings everything once more, and what is told then comes after it.
    site.drop_streams()
    site.publish("run", run_view("r0", "Old", "stopped"))
    expect(page.locator(".gs-chip").first).to_contain_text("stopped")
    assert [entry[:2] for entry in page.evaluate("shown")] == [
        ["SFT finished", "101 of 128 solved."],
        ["GIFT failed", "The loss is not a number. Lower the rate."],
    ]


def test_a_bell_that_was_refused_says_where_to_allow_it(opened: Told) -> None:
    page = opened("denied")
    page.get_by_role("button", name="Notify me").click()
    blocked = page.get_by_role("button", name="Notifications are blocked")
    expect(blocked).to_be_disabled()
    expect(blocked).to_have_attribute("title", "Allow them for this site in the settings of the browser.")


def test_a_silent_run_is_told_once_until_it_reports_again(opened: Told) -> None:
    page = opened()
    page.get_by_role("button", name="Notify me").click()
    page.clock.install()
    page.evaluate(
        """async (run) => {
          const { Notifications } = await import('/assets/notifications.js');
          window.watch = new Notifications(new AbortController().signal);
          watch.run(run);
        }""",
        run_view("r1", "SFT"),
    )
    page.clock.run_for(11 * 60_000)
    assert page.evaluate("shown.length") == 0  # The connection is not there: nobody knows.
    page.evaluate("watch.connected(true)")
    page.clock.run_for(9 * 60_000)
    assert page.evaluate("shown.length") == 0
    page.clock.run_for(30 * 60_000)
    assert [entry[:2] for entry in page.evaluate("shown")] == [
        ["SFT stalled", "Nothing has been reported for 10 minutes."]
    ]
    page.evaluate("watch.measured('r1', [])")
    page.clock.run_for(11 * 60_000)
    assert page.evaluate("shown.length") == 2


def entropies(first: int, *values: float) -> dict[str, Any]:
    points = [
        {"cursor": step, "step": step, "time": float(step), "values": {"loss": 1.0, "mean_entropy": value}}
        for step, value in enumerate(values, first)
    ]
    return {"run_id": "r1", "points": points}


def test_an_entropy_collapse_is_told_once(opened: Told, site: Site) -> None:
    site.publish("run", run_view("r1", "GIFT", step=3))
    site.publish("metrics", entropies(1, 2.0, 2.2, 2.4))
    page = opened()
    page.get_by_role("button", name="Notify me").click()
    expect(page.get_by_role("article")).to_have_count(1)
    # Not for long, or not low enough.
    site.publish("metrics", entropies(4, 0.1, 0.1, 0.3, 0.1, 0.1))
    site.publish("run", run_view("r1", "GIFT", step=8, phase="saving"))
    expect(page.locator(".gs-phase")).to_have_text("saving")
    assert page.evaluate("shown") == []
    site.publish("metrics", entropies(9, 0.11, 0.1, 0.1))
    page.wait_for_function("shown.length === 1")
    site.publish("metrics", entropies(12, 1.0, 0.1, 0.1, 0.1))
    site.publish("run", run_view("r1", "GIFT", "finished"))
    page.wait_for_function("shown.length === 2")
    assert [entry[:2] for entry in page.evaluate("shown")] == [
        ["GIFT has an entropy collapse", "Its mean entropy fell from 2.200 to 0.110 nats."],
        ["GIFT finished", ""],
    ]


def test_a_collapse_from_before_the_page_was_opened_is_no_news(opened: Told, site: Site) -> None:
    page = opened()
    page.get_by_role("button", name="Notify me").click()
    expect(page.get_by_role("button", name="Notify me")).to_have_attribute("aria-pressed", "true")
    site.publish("run", run_view("r1", "GIFT", step=6))
    site.publish("metrics", entropies(1, 2.0, 2.0, 2.0, 0.1, 0.1, 0.1))
    site.publish("metrics", entropies(7, 0.1, 0.1))
    site.publish("run", run_view("r1", "GIFT", "finished", step=8))
    page.wait_for_function("shown.length > 0")
    assert [entry[0] for entry in page.evaluate("shown")] == ["GIFT finished"]


def test_a_card_says_when_its_files_were_removed(mount: Mount, site: Site) -> None:
    links = {"tokens": "/tokens?run={run}"}
    page = mount("runs", RUNS | {"links": links})
    result = {"seconds": 2.0, "final_loss": 0.4}
    site.publish("run", run_view("r1", "SFT", "finished", result=result))
    expect(page.get_by_role("link", name="Tokens")).to_be_visible()
    site.publish("run", run_view("r1", "SFT", "finished", result=result, files_removed=1_790_000_000.0))
    expect(page.get_by_text("Its files were removed on")).to_be_visible()
    expect(page.get_by_role("link", name="Tokens")).to_have_count(0)
