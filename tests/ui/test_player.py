"""The player of denoising traces, finished ones: steps, looks, layers, comparison, edits."""

from __future__ import annotations

import re
from itertools import permutations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Locator, Page, expect

from gift_core.comparison import compare
from gift_core.trace import Branch, Standing, Trace
from tests.ui.component_data import HOSTILE
from tests.ui.mounting import Mount, fills, hold_time, states
from tests.ui.trace_data import IN_ORDER, LENGTH, entry, trace

pytestmark = pytest.mark.e2e


def player(mount: Mount, *traces: Trace, **data: object) -> Page:
    comparisons = {
        f"{i}-{j}": compare(traces[i], traces[j]).model_dump(mode="json")
        for i, j in permutations(range(len(traces)), 2)
    }
    return mount("denoise", {"traces": [entry(each) for each in traces], "comparisons": comparisons, **data})


def step(page: Page) -> Locator:
    return page.get_by_label("Step", exact=True)


def layer(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name, exact=True).check()


# Steps


def test_entropies_of_traces_are_in_nats_on_one_fitted_scale(mount: Mount) -> None:
    shares = np.full((LENGTH, LENGTH), 0.25)
    page = player(mount, trace("GIFT", IN_ORDER, entropy=shares / 2), trace("Base", IN_ORDER, entropy=shares))
    nats = 0.25 * np.log(56)
    expect(page.get_by_role("listbox", name="Base: response").get_by_role("option").first).to_have_attribute(
        "aria-label", f"masked token, entropy {nats:.2f} nats"
    )
    key = page.locator(".gs-key .gs-legend-ticks")
    expect(key).to_have_text("00.601.20")
    expect(page.locator(".gs-step-chart").nth(1)).to_contain_text("1.20")
    fitted = fills(page, "Base: response")
    assert fitted != fills(page, "GIFT: response")
    layer(page, "Full (ln V)")
    expect(key).to_contain_text("4.03 = ln 56")
    assert fills(page, "Base: response") != fitted


def test_the_player_steps_to_the_right_state(mount: Mount) -> None:
    page = player(mount, trace("GIFT", [3, 1, 0, 2, 7, 6, 5, 4, *range(8, 24)]))
    strip = page.get_by_role("listbox", name="GIFT: response")
    assert states(page, "GIFT: response") == ["masked"] * 8 + ["waiting"] * 16
    expect(strip.get_by_role("option").nth(3)).to_have_attribute("aria-label", re.compile("^masked token, entropy"))
    page.locator(".gs-player").focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    assert states(page, "GIFT: response") == [
        "masked", "revealed", "masked", "committed", *["masked"] * 4, *["waiting"] * 16
    ]  # fmt: skip
    expect(strip.get_by_role("option").nth(3)).to_have_attribute("aria-label", "token '4', committed at step 1")
    page.keyboard.press("End")
    assert states(page, "GIFT: response") == ["committed"] * 21 + ["after"] * 2 + ["revealed"]
    page.keyboard.press("Home")
    expect(step(page)).to_have_value("0")


def test_playing_runs_to_the_end_and_stops(mount: Mount) -> None:
    page = player(mount, trace("GIFT", IN_ORDER))
    page.get_by_label("Speed").select_option("4")
    step(page).fill("20")
    hold_time(page)
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    # Four steps at twenty a second.
    page.clock.run_for(200)
    expect(step(page)).to_have_value("24")
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_a_link_begins_at_its_step(mount: Mount) -> None:
    page = player(mount, trace("GIFT", IN_ORDER), step=7)
    expect(step(page)).to_have_value("7")
    expect(page.locator(".gs-transport output")).to_have_text("7 / 24")


def test_a_pane_says_what_its_trace_took(mount: Mount) -> None:
    page = player(mount, trace("GIFT", [[0, 1, 2, 3], [4, 5, 6, 7], list(range(8, 24))]))
    expect(page.locator(".gs-panes .gs-note").first).to_have_text(
        re.compile(r"^3 of 24 steps, 3 forward passes, 8\.0 tokens a step, 0\.4\s?s$")
    )
    expect(page.locator(".gs-verdict")).to_have_text("solved")
    # Two steps begin another block: the second block at the third step, which commits most.
    expect(page.locator(".gs-density .gs-blocks")).to_have_attribute("d", "M2 0V10")
    heights = re.findall(r"v(-?[\d.]+)", page.locator(".gs-density .gs-bars").get_attribute("d") or "")
    assert [float(height) for height in heights] == [-2.5, -2.5, -10]


# Looks


def test_given_text_looks_distinct_and_is_in_the_key(mount: Mount) -> None:
    stands = [Standing(position=2, token=51, kind="given"), Standing(position=3, token=52, kind="placed")]
    page = player(mount, trace("GIFT", [i for i in IN_ORDER if i not in (2, 3)], standing=stands))
    assert states(page, "GIFT: response")[:4] == ["masked", "masked", "given", "committed"]
    expect(page.locator(".gs-states")).to_contain_text("given or edited")
    cells = page.get_by_role("listbox", name="GIFT: response").get_by_role("option")
    expect(cells.nth(2)).to_have_attribute("aria-label", re.compile("given before the first step"))
    step(page).fill("22")
    assert states(page, "GIFT: response")[2] == "given"


def test_what_an_early_stop_left_out_is_not_shown_as_masked(mount: Mount) -> None:
    page = player(mount, trace("GIFT", range(21)))
    expect(page.locator(".gs-panes .gs-chip")).to_have_text("stopped early")
    expect(page.locator(".gs-states")).to_contain_text("not computed")
    assert states(page, "GIFT: response")[21:] == ["waiting"] * 3
    step(page).fill("21")
    assert states(page, "GIFT: response")[20:] == ["revealed"] + ["uncomputed"] * 3
    last = page.get_by_role("listbox", name="GIFT: response").get_by_role("option").last
    expect(last).to_have_attribute("aria-label", re.compile("not computed"))


def test_a_token_of_markup_is_only_text_in_strip_card_and_table(mount: Mount) -> None:
    page = player(mount, trace("GIFT", IN_ORDER, swap_at=0, text=HOSTILE), step=24)
    cell = page.get_by_role("listbox", name="GIFT: response").get_by_role("option").first
    expect(cell).to_have_text(HOSTILE)
    cell.click()
    expect(page.locator(".gs-popover")).to_contain_text(HOSTILE)
    expect(page.locator("#host img, #host script")).to_have_count(0)


# Layers


def test_layers_of_commits_are_seen_where_something_was_committed(mount: Mount) -> None:
    page = player(mount, trace("GIFT", IN_ORDER), step=12)
    seen = {}
    for name, title in (("Commit step", "Step of commit"), ("Confidence", "Confidence at commit")):
        layer(page, name)
        expect(page.locator(".gs-key")).to_contain_text(title)
        seen[name] = fills(page, "GIFT: response")
        assert all(seen[name][:12])
        assert not any(seen[name][12:])
    expect(page.get_by_role("group", name="Scale")).to_be_hidden()
    # One step after the other: every token has another colour, and the order of commits is the order of positions.
    assert len(set(seen["Commit step"][:12])) == 12
    layer(page, "Entropy")
    entropy = fills(page, "GIFT: response")
    assert not any(entropy[:12])
    assert all(entropy[12:])


def test_the_map_has_a_pixel_for_each_step_and_position_and_leads_there(mount: Mount) -> None:
    shares = np.full((LENGTH, LENGTH), 0.25)
    page = player(mount, trace("GIFT", IN_ORDER, entropy=shares))
    canvas = page.locator(".gs-map canvas")
    pixels = canvas.evaluate(
        "(c) => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].map((v, i, all) => all[i])"
    )
    image = np.array(pixels).reshape(LENGTH, LENGTH, 4)
    committed = image[np.arange(LENGTH), np.arange(LENGTH)]
    assert (committed == committed[0]).all()
    upper = np.triu_indices(LENGTH, 1)
    assert (image[upper] == image[0, 5]).all()
    assert (image[0, 5] != committed[0]).any()
    assert not image[np.tril_indices(LENGTH, -1)][:, 3].any()
    box = canvas.bounding_box()
    assert box
    canvas.click(position={"x": box["width"] * 8.5 / 24, "y": box["height"] * 5.5 / 24})
    expect(step(page)).to_have_value("6")
    expect(page.locator(".gs-map output")).to_contain_text("position 8: 75")


# Several traces


def test_panes_share_the_step_and_the_first_divergence_is_found(mount: Mount) -> None:
    first = trace("GIFT", [5, 1, 2, 0, *[i for i in IN_ORDER if i not in (5, 1, 2, 0)]])
    page = player(mount, first, trace("SFT", [5, 1, 0, 2]))
    page.get_by_role("button", name="First divergence").click()
    expect(step(page)).to_have_value("3")
    assert [i for i, state in enumerate(states(page, "GIFT: response")) if state == "revealed"] == [2]
    assert [i for i, state in enumerate(states(page, "SFT: response")) if state == "revealed"] == [0]
    step(page).fill("24")
    assert states(page, "SFT: response").count("committed") == 4


def test_equal_traces_differ_in_nothing(mount: Mount) -> None:
    page = player(mount, trace("A", IN_ORDER), trace("B", IN_ORDER), step=24)
    expect(page.get_by_role("button", name="Identical at every step")).to_be_disabled()
    expect(page.locator(".gs-compare")).to_contain_text("24 of 24 tokens the same")
    expect(page.locator(".gs-badge")).to_have_count(0)
    for name in ("Δ step", "Δ confidence", "Δ entropy"):
        layer(page, name)
        assert len(set(fills(page, "B: response"))) == 1
    expect(page.locator(".gs-differs")).to_have_count(0)


def test_the_second_pane_shows_its_differences_to_the_first(mount: Mount) -> None:
    other = trace("SFT", IN_ORDER[::-1], swap_at=4, seed=2)
    page = player(mount, trace("GIFT", IN_ORDER), other, step=24)
    expect(page.locator(".gs-compare")).to_contain_text("23 of 24 tokens the same")
    expect(page.locator(".gs-badge")).to_have_text("settings differ: seed")
    layer(page, "Δ step")
    expect(page.locator(".gs-key .gs-legend-ticks")).to_have_text("−24 0 +24".replace(" ", ""))
    assert not any(fills(page, "GIFT: response"))
    shown = fills(page, "SFT: response")
    # The last position comes 23 steps sooner, the first 23 later: the ends of the scale.
    assert shown[0] != shown[-1]
    assert shown[11] != shown[0]
    strips = [page.get_by_role("listbox", name=f"{label}: response") for label in ("GIFT", "SFT")]
    for strip in strips:
        expect(strip.get_by_role("option").nth(4)).to_have_class(re.compile("gs-differs"))
        expect(strip.locator(".gs-differs")).to_have_count(1)
    page.get_by_role("button", name="step 1, positions 0, 23").click()
    expect(step(page)).to_have_value("1")


def test_any_two_of_three_are_compared(mount: Mount) -> None:
    page = player(mount, trace("Base", IN_ORDER), trace("SFT", IN_ORDER), trace("GIFT", IN_ORDER, swap_at=3), step=24)
    expect(page.locator(".gs-compare")).to_contain_text("24 of 24")
    page.get_by_label("Compared second").select_option("GIFT")
    expect(page.locator(".gs-compare")).to_contain_text("23 of 24")
    page.get_by_role("button", name="First divergence").click()
    expect(step(page)).to_have_value("4")
    # What is chosen on the other side says so, and is not offered: it would be compared with itself.
    first, second = (page.get_by_label(f"Compared {side}") for side in ("first", "second"))
    expect(first.locator("option:disabled")).to_have_text("GIFT (compared second)")
    expect(second.locator("option:disabled")).to_have_text("Base (compared first)")
    # Every other choice is taken as it was made, in either order.
    second.select_option("SFT")
    first.select_option("GIFT")
    expect(first).to_have_value("2")
    expect(second).to_have_value("1")
    expect(page.locator(".gs-compare")).to_contain_text("23 of 24")
    first.select_option("Base")
    second.select_option("GIFT")
    first.select_option("SFT")
    expect(second).to_have_value("2")
    layer(page, "Δ step")
    assert [any(fills(page, f"{label}: response")) for label in ("Base", "SFT", "GIFT")] == [False, False, True]


def test_panes_are_aligned_by_progress_or_by_what_is_masked(mount: Mount) -> None:
    fast = trace("Fast", [list(range(8)), list(range(8, 16)), list(range(16, 24))])
    page = player(mount, trace("Slow", IN_ORDER), fast)
    step(page).fill("8")
    assert states(page, "Fast: response").count("masked") == 0
    layer(page, "By masked share")
    for row, masked in ((8, 16), (16, 8), (24, 0)):
        step(page).fill(str(row))
        for label in ("Slow", "Fast"):
            shown = states(page, f"{label}: response")
            assert sum(state in ("masked", "waiting") for state in shown) == masked
    layer(page, "By progress")
    expect(page.locator(".gs-transport output")).to_contain_text("100")
    step(page).fill("12")
    expect(page.locator(".gs-transport output")).to_contain_text("50")
    layer(page, "By step")
    expect(page.locator(".gs-transport output")).to_have_text("12 / 24")


@st.composite
def partitions(draw: st.DrawFn) -> list[list[int]]:
    """All positions in some order, a few a step."""
    order = draw(st.permutations(IN_ORDER))
    cuts = sorted(draw(st.sets(st.integers(1, LENGTH - 1), max_size=12)))
    return [list(order[start:end]) for start, end in zip([0, *cuts], [*cuts, LENGTH], strict=True)]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=partitions(), other=partitions(), cursor=st.integers(0, 12))
def test_alignment_in_the_browser_is_that_of_the_comparison(
    aligned: Page, one: list[list[int]], other: list[list[int]], cursor: int
) -> None:
    first = trace("A", one)
    cursor = min(cursor, len(one) - 1)
    standing = [Standing(position=p, token=t, kind="placed") for p, t in first.tokens_at(cursor).items()]
    left = [i for i in range(LENGTH) if i not in first.tokens_at(cursor)]
    branch = trace("B", left, standing=standing, branch=Branch(trace="A", cursor=cursor))
    for second in (trace("B", other), branch):
        expected = compare(first, second).alignments
        documents = [each.model_dump(mode="json") for each in (first, second)]
        for kind, pairs in expected.items():
            assert aligned.evaluate(ALIGN, [documents, kind]) == [list(pair) for pair in pairs]


ALIGN = """async ([documents, kind]) => {
  const { align } = await import('/assets/alignment.js');
  const { Replay } = await import('/assets/trace.js');
  return align(documents.map((each) => Replay.of(each)), kind);
}"""


@pytest.fixture
def aligned(mount: Mount) -> Page:
    return mount("denoise", None)
