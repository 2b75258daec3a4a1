"""The player while traces are made: a stream that is followed, ends in every state, and edits that begin a branch."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from gift_core.comparison import compare
from gift_core.trace import Branch, Standing
from tests.ui.component_site import Site
from tests.ui.mounting import Mount, states
from tests.ui.test_player import step
from tests.ui.trace_data import IN_ORDER, Stream, awaited, entry, trace

pytestmark = pytest.mark.e2e

STRIP = "GIFT: response"
CHIP = ".gs-panes .gs-chip"


def watch(mount: Mount, *traces: dict[str, Any], **data: object) -> Page:
    return mount("denoise", {"traces": list(traces), "api": "/api", **data})


@pytest.fixture
def stream(site: Site) -> Stream:
    return Stream(site, "a", trace("GIFT", IN_ORDER))


def update(page: Page, *traces: dict[str, Any], **data: object) -> None:
    page.evaluate("data => component.update(data)", {"traces": list(traces), "api": "/api", **data})


# Live


def test_steps_are_shown_as_they_come(mount: Mount, stream: Stream) -> None:
    page = watch(mount, awaited("a"))
    expect(page.locator(CHIP)).to_have_text("queued")
    stream.publish(4)
    expect(page.locator(CHIP)).to_have_text("step 3")
    expect(step(page)).to_have_value("3")
    assert states(page, STRIP)[:4] == ["committed", "committed", "revealed", "masked"]
    expect(page.get_by_role("listbox", name=STRIP).get_by_role("option").nth(2)).to_have_text("3")
    stream.finish()
    expect(page.locator(CHIP)).to_have_text("finished")
    expect(step(page)).to_have_value("24")
    expect(page.get_by_role("button", name="Follow live")).to_be_hidden()


def test_going_back_stops_following_and_going_to_the_end_follows_again(mount: Mount, stream: Stream) -> None:
    page = watch(mount, awaited("a"))
    stream.publish(6)
    expect(step(page)).to_have_value("5")
    live = page.get_by_role("button", name="Follow live")
    expect(live).to_have_attribute("aria-pressed", "true")
    step(page).fill("2")
    expect(live).to_have_attribute("aria-pressed", "false")
    stream.publish(4)
    expect(step(page)).to_have_attribute("max", "9")
    expect(step(page)).to_have_value("2")
    live.click()
    expect(step(page)).to_have_value("9")
    stream.publish(1)
    expect(step(page)).to_have_value("10")


def test_a_burst_of_steps_is_painted_a_few_times_only(mount: Mount, site: Site, stream: Stream) -> None:
    page = watch(mount, awaited("a"))
    stream.publish(1)
    expect(page.get_by_role("listbox", name=STRIP)).to_be_visible()
    page.evaluate("""() => {
      window.paints = 0;
      const chip = document.querySelector('.gs-chip');
      new MutationObserver(() => { window.paints += 1; }).observe(chip, { childList: true });
    }""")
    # In one go, so that no pause of the machine's comes between them.
    with site.changed:
        stream.publish(20)
    expect(page.locator(CHIP)).to_have_text("step 20")
    assert page.evaluate("window.paints") <= 3


def test_a_lost_connection_brings_nothing_twice(mount: Mount, site: Site, stream: Stream) -> None:
    page = watch(mount, awaited("a"))
    stream.publish(5)
    expect(step(page)).to_have_value("4")
    site.drop_streams()
    assert site.wait_for_streams(1)
    stream.publish(2)
    expect(page.locator(CHIP)).to_have_text("step 6")
    expect(step(page)).to_have_attribute("max", "6")


def test_a_stream_is_closed_when_all_has_come(mount: Mount, site: Site, stream: Stream) -> None:
    page = watch(mount, awaited("a"))
    stream.finish()
    expect(page.locator(CHIP)).to_have_text("finished")
    assert site.wait_for_streams(0)


def test_an_opened_trace_waits_at_its_beginning_or_at_the_step_of_the_link(mount: Mount, stream: Stream) -> None:
    stream.finish()
    page = watch(mount, awaited("a", "finished"))
    expect(page.locator(CHIP)).to_have_text("finished")
    expect(step(page)).to_have_value("0")
    update(page, awaited("a", "finished"), step=9)
    expect(step(page)).to_have_value("9")
    page.wait_for_url("**/?step=9")


def test_a_step_that_a_link_names_stays_also_where_it_is_the_newest_at_first(mount: Mount, stream: Stream) -> None:
    stream.publish(10)
    page = watch(mount, awaited("a", "finished"), step=9)
    expect(step(page)).to_have_value("9")
    stream.finish()
    expect(page.locator(CHIP)).to_have_text("finished")
    expect(step(page)).to_have_attribute("max", "24")
    expect(step(page)).to_have_value("9")


# Ends


def test_a_failed_trace_says_why_and_names_the_line(mount: Mount, stream: Stream) -> None:
    page = watch(mount, awaited("a") | {"edits": ["given text, line 2"]})
    stream.end("failed", [{"field": "edits.0", "message": "The text has 9 tokens.", "remedy": "Shorten it."}])
    expect(page.locator(CHIP)).to_have_text("failed")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("given text, line 2")
    expect(alert).to_contain_text("Shorten it.")


def test_cancelling_asks_for_what_runs_and_what_was_made_stays(mount: Mount, stream: Stream) -> None:
    page = watch(mount, awaited("a"), entry(trace("SFT", IN_ORDER)))
    stream.publish(4)
    expect(page.locator(CHIP).first).to_have_text("step 3")
    page.get_by_role("button", name="Cancel").click()
    assert page.evaluate("actions") == [["cancel", {"traces": ["a"]}]]
    stream.end("cancelled")
    expect(page.locator(CHIP).first).to_have_text("cancelled")
    assert states(page, STRIP)[:4] == ["committed", "committed", "revealed", "masked"]
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()


def test_asking_again_does_no_harm_but_begins_what_was_cancelled_anew(mount: Mount, site: Site, stream: Stream) -> None:
    page = watch(mount, awaited("a"))
    stream.publish(4)
    expect(page.locator(CHIP)).to_have_text("step 3")
    update(page, awaited("a", "running"))
    expect(page.locator(CHIP)).to_have_text("step 3")
    stream.end("cancelled")
    expect(page.locator(CHIP)).to_have_text("cancelled")
    site.events.clear()
    update(page, awaited("a"))
    expect(page.locator(CHIP)).to_have_text("queued")
    Stream(site, "a", trace("GIFT", IN_ORDER)).publish(3)
    expect(page.locator(CHIP)).to_have_text("step 2")


def test_a_trace_that_is_gone_is_said_so(mount: Mount, site: Site) -> None:
    site.publish("unknown", {"topics": ["trace:nowhere"]})
    page = watch(mount, awaited("nowhere"))
    expect(page.locator(CHIP)).to_have_text("lost")
    expect(page.get_by_role("alert")).to_contain_text("There is no traces/nowhere.")


def test_the_comparison_is_asked_for_when_both_have_ended(mount: Mount, site: Site, stream: Stream) -> None:
    one, other = trace("GIFT", IN_ORDER), trace("SFT", IN_ORDER, swap_at=2)
    site.documents["comparisons?first=a&second=b"] = compare(one, other).model_dump(mode="json")
    page = watch(mount, awaited("a"), {"id": "b", "label": "SFT", "document": other.model_dump(mode="json")})
    expect(page.get_by_role("button", name="First divergence")).to_be_disabled()
    stream.finish()
    expect(page.locator(".gs-compare")).to_contain_text("23 of 24")
    expect(page.get_by_role("radio", name="Δ step")).to_be_visible()


# Edits


def opened(mount: Mount, stream: Stream) -> Page:
    stream.finish()
    page = watch(mount, awaited("a", "finished"), step=5)
    expect(page.get_by_role("button", name="Branch from step 5")).to_be_disabled()
    return page


def test_edits_are_collected_and_begin_a_branch(mount: Mount, stream: Stream) -> None:
    page = opened(mount, stream)
    cells = page.get_by_role("listbox", name=STRIP).get_by_role("option")
    cells.nth(7).click()
    page.get_by_label(re.compile("^Text from here on")).fill("So⏎")
    page.get_by_role("button", name="Put text here").click()
    cells.nth(2).click()
    page.get_by_role("button", name="Mask again").click()
    cells.nth(3).click()
    page.get_by_role("button", name="Mask again").click()
    chips = page.get_by_role("list", name="Edits").get_by_role("listitem")
    expect(chips.locator("span")).to_have_text(["2: masked again", "3: masked again", "7: “So⏎”"])
    page.get_by_role("button", name="Undo the edit at position 3").click()
    expect(chips).to_have_count(2)
    page.get_by_role("button", name="Branch from step 5").click()
    edits = [{"position": 7, "text": "So\n"}, {"position": 2, "text": None}]
    assert page.evaluate("actions") == [["branch", {"trace": "a", "cursor": 5, "edits": edits, "traces": ["a"]}]]


def test_an_edit_is_made_with_the_keyboard_alone(mount: Mount, stream: Stream) -> None:
    page = opened(mount, stream)
    page.get_by_role("listbox", name=STRIP).get_by_role("option").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("4")
    page.keyboard.press("Enter")
    expect(page.get_by_role("list", name="Edits")).to_contain_text("1: “4”")


def test_a_branch_stands_beside_its_parent_and_counts_on(mount: Mount, site: Site, stream: Stream) -> None:
    page = opened(mount, stream)
    parent = trace("GIFT", IN_ORDER)
    stands = [Standing(position=p, token=t, kind="placed") for p, t in parent.tokens_at(5).items()]
    stands[2] = Standing(position=2, token=9, kind="edited")
    child = Stream(site, "b", trace("GIFT", IN_ORDER[5:], standing=stands, branch=Branch(trace="a", cursor=5)))
    site.documents["comparisons?first=a&second=b"] = {"problems": [{"field": "", "message": "later", "remedy": ""}]}
    site.events.clear()
    update(page, awaited("a", "running"), awaited("b"))
    child.publish(4)
    branch = "GIFT, from step 5: response"
    expect(page.locator(CHIP)).to_have_text(["finished", "step 8"])
    expect(step(page)).to_have_value("8")
    assert states(page, branch)[:9] == ["committed", "committed", "given", *["committed"] * 4, "revealed", "masked"]
    # Where it had not begun, it shows what it began with.
    step(page).fill("1")
    assert states(page, branch)[3:6] == ["committed", "committed", "masked"]
    child.finish()
    expect(page.locator(CHIP)).to_have_text(["finished", "finished"])
    page.get_by_role("button", name="Close GIFT, from step 5").click()
    expect(page.locator(CHIP)).to_have_text(["finished"])
    page.wait_for_url("**/?*traces=a*")
