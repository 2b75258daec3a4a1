"""What can be done with a job in the browser: nothing that it has is lost by one click, or by two."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.ui.component_data import points, run_view
from tests.ui.component_site import Site
from tests.ui.mounting import Mount, hold_time
from tests.ui.test_run_components import RUNS, wait_for_points

pytestmark = pytest.mark.e2e


def box(button: Locator) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a button."""
    found = button.bounding_box()
    assert found is not None
    return found["x"], found["y"], found["x"] + found["width"], found["y"] + found["height"]


@pytest.mark.parametrize(("state", "harmless"), [("running", "Keep running"), ("queued", "Stay in queue")])
@pytest.mark.parametrize(("width", "height"), [(1440, 844), (390, 844), (390, 300)])
def test_the_harmless_answer_takes_the_place_of_stop(
    mount: Mount, site: Site, state: str, harmless: str, width: int, height: int
) -> None:
    site.publish("run", run_view("r1", "SFT", state))
    page = mount("runs", RUNS)
    page.set_viewport_size({"width": width, "height": height})
    stop = page.get_by_role("button", name="Stop", exact=True)
    stop.scroll_into_view_if_needed()
    left, top, right, bottom = box(stop)
    stop.dblclick()
    assert page.evaluate("actions") == []
    place = box(page.get_by_role("button", name=harmless))
    assert place[0] <= left + 0.5
    assert place[1] <= top + 0.5
    assert place[2] >= right - 0.5
    assert place[3] >= bottom - 0.5
    question = box(page.get_by_role("group", name="Stop it?"))
    assert question[0] >= 0
    assert question[2] <= width
    # Its frame may stick out a little where the button is at the very edge.
    assert question[1] >= -10
    assert question[3] <= height + 10
    # Two clicks on it are one as well.
    page.get_by_role("button", name=harmless).dblclick()
    expect(stop).to_be_visible()
    assert page.evaluate("actions") == []


def test_what_keeps_nothing_says_so_and_cannot_be_pressed_at_once(mount: Mount, site: Site) -> None:
    site.publish("run", run_view("r1", "SFT", step=41, elapsed=229.0))
    page = mount("runs", RUNS)
    expect(page.get_by_role("article")).to_have_count(1)
    hold_time(page)
    page.get_by_role("button", name="Stop", exact=True).click()
    discard = page.get_by_role("button", name="Discard 41 steps (3 min 49 s of work)")
    expect(discard).to_be_disabled()
    page.clock.run_for(590)
    expect(discard).to_be_disabled()
    page.clock.run_for(20)
    discard.click()
    assert page.evaluate("actions") == [["discard", {"run": "r1"}]]


def test_a_second_click_on_start_over_or_undo_asks_for_nothing_more(mount: Mount, site: Site) -> None:
    site.publish("run", run_view("r1", "SFT", "stopped", step=64))
    page = mount("runs", RUNS)
    card = page.get_by_role("article")
    expect(card).to_contain_text("It can be resumed from step 64.")
    card.get_by_role("button", name="Start over").dblclick()
    assert page.evaluate("actions") == [["retry", {"run": "r1"}]]
    hold_time(page)
    begun = {"step": 0, "saved_step": None, "undo_step": 64, "first_attempt": 2, "total_steps": None}
    site.publish("run", run_view("r1", "SFT", "queued", **begun))
    undo = card.get_by_role("button", name="Undo")
    expect(undo).to_be_disabled()
    expect(card).to_contain_text("Step 64 is kept until there is a new checkpoint.")
    expect(card).not_to_contain_text("of 160")
    page.clock.run_for(610)
    undo.dblclick()
    assert page.evaluate("actions").pop() == ["undo", {"run": "r1"}]
    assert len(page.evaluate("actions")) == 2


def test_a_card_says_nothing_of_attempts_that_are_not_there(mount: Mount, site: Site) -> None:
    site.publish("run", run_view("r1", "SFT", "running"))
    site.publish("metrics", {"run_id": "r1", "points": points(0, 30)})
    page = mount("runs", RUNS)
    card = page.get_by_role("article")
    wait_for_points(page, 30)
    expect(card).to_contain_text("step 70 of 160")
    gone = {"step": 0, "total_steps": None, "saved_step": None, "tokens_per_second": None, "first_attempt": 2}
    site.publish("run", run_view("r1", "SFT", "stopped", stop_mode="discard", undo_step=64, **gone))
    expect(card).to_contain_text("Discarded.")
    expect(card).to_contain_text("Step 64 can be brought back for a minute.")
    expect(card).not_to_contain_text("of 160")
    expect(page.locator(".gs-chart")).to_have_class(re.compile("gs-chart-empty"))
    for name in ("Resume", "Start over"):
        expect(card.get_by_role("button", name=name)).to_be_hidden()
    expect(card.get_by_role("button", name="Run again")).to_be_visible()
    # Brought back: the same curve, with new cursors.
    site.publish("run", run_view("r1", "SFT", "stopped"))
    again = [{**point, "cursor": 100 + number} for number, point in enumerate(points(0, 30))]
    site.publish("metrics", {"run_id": "r1", "points": again})
    wait_for_points(page, 30)
    expect(card.get_by_role("button", name="Resume")).to_be_visible()


def test_what_is_reported_again_after_a_resume_is_drawn_once(mount: Mount, site: Site) -> None:
    site.publish("run", run_view("r1", "SFT"))
    site.publish("metrics", {"run_id": "r1", "points": points(0, 30)})
    page = mount("runs", RUNS)
    wait_for_points(page, 30)
    again = [{**point, "cursor": 100 + number} for number, point in enumerate(points(20, 25))]
    site.publish("metrics", {"run_id": "r1", "points": again})
    wait_for_points(page, 25)


def test_elapsed_is_the_servers_and_stands_still_in_the_queue(mount: Mount, site: Site) -> None:
    site.publish("run", run_view("r1", "SFT", "queued", started=1.0, elapsed=394.0))
    page = mount("runs", RUNS)
    card = page.get_by_role("article")
    expect(card).to_contain_text("6 min 34 s")
    hold_time(page)
    page.clock.run_for(60_000)
    expect(card).to_contain_text("6 min 34 s")
    site.publish("run", run_view("r1", "SFT", "running", started=1.0, elapsed=394.0))
    expect(card).to_contain_text("running")
    page.clock.run_for(6_000)
    expect(card).to_contain_text("6 min 40 s")
