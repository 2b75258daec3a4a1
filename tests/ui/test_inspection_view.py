"""Partial masks, layers of training's masking, and data sets, in a real browser."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Page, expect

from gift_core.inspection import WEIGHTINGS
from gift_core.masking_frequency import masking_at, masking_over_time
from gift_core.positions import parse_positions
from tests.ui.inspection_data import HOSTILE_TEXT, dataset, recorded
from tests.ui.mounting import Mount, fills, set_slider, states

pytestmark = pytest.mark.e2e

BASE = "Tiny base: response"


def cell(page: Page, position: int, strip: str = BASE) -> Any:
    return page.get_by_role("listbox", name=strip, exact=True).get_by_role("option").nth(position)


def shown_mask(page: Page) -> list[int]:
    return [place for place, state in enumerate(states(page, BASE)) if state == "asked"]


# How often a token is masked, and what it counts


def test_the_browser_computes_what_the_library_does(mount: Mount) -> None:
    page = mount("inspection", recorded())
    rates = [0.0, 1e-6, 0.3, 1.0, 2.5, 9.0]
    for weighting in WEIGHTINGS:
        for t in (0.01, 0.5, 0.99):
            found = page.evaluate(
                """async ([rates, t, weighting]) => {
                  const { maskingAt } = await import('/assets/masking.js');
                  const all = rates.map((rate) => maskingAt(rate, t, weighting));
                  return ['frequency', 'weight', 'product'].map((name) => all.map((each) => each[name]));
                }""",
                [rates, t, weighting],
            )
            wanted = masking_at(t, torch.tensor(rates, dtype=torch.float64), weighting)
            for name, values in zip(("frequency", "weight", "product"), found, strict=True):
                assert values == pytest.approx(getattr(wanted, name).tolist(), rel=1e-9), (weighting, t, name)
    even = page.evaluate("async () => (await import('/assets/masking.js')).sftFrequency(null)")
    assert even == masking_over_time(torch.ones(1), "inverse").frequency.item()


def test_the_mean_over_t_comes_from_the_document(mount: Mount) -> None:
    document = recorded()
    page = mount("inspection", document)
    page.get_by_role("button", name="Mean over t").click()
    for each in document.checkpoints:
        frequency = np.array(each.masking[0].frequency)
        unsure = np.argsort(each.entropy)[::-1][: len(frequency) // 4]
        pane = page.locator(".gs-pane", has=page.get_by_role("heading", name=each.label, exact=True))
        header = pane.locator("header")
        expect(header).to_contain_text(f"GIFT {frequency.mean():.1%}".replace("%", "\u00a0%"))
        share = frequency[unsure].sum() / frequency.sum()
        expect(header).to_contain_text(f"quarter: SFT 25%, GIFT {share:.0%}".replace("%", "\u00a0%"))
        expect(header).to_contain_text(f"{each.reference:.3f}")
    set_slider(page, "Diffusion time t", 0.3)
    expect(page.get_by_role("button", name="Mean over t")).to_have_attribute("aria-pressed", "false")


def test_each_weighting_says_what_it_is_and_colours_otherwise(mount: Mount) -> None:
    page = mount("inspection", recorded())
    expect(page.get_by_role("group", name="Weighting")).to_be_hidden()
    page.get_by_role("radio", name="tᵢ × weight").check()
    expect(page.locator("#host")).to_contain_text("on average every token counts 1")
    # One colour: under this weighting no token counts more than another.
    assert len(set(fills(page, BASE))) == 1
    page.get_by_role("radio", name="elbo").check()
    expect(page.locator("#host")).to_contain_text("a bound on −log p(x)")
    assert len(set(fills(page, BASE))) > 10
    # The middle of the scale lies between two of its levels.
    page.get_by_role("button", name="Mean over t").click()
    assert len(set(fills(page, BASE))) <= 2


# Partial masks


def test_a_mask_is_drawn_by_clicks_ranges_and_keys(mount: Mount) -> None:
    page = mount("inspection", recorded())
    page.get_by_role("button", name="Draw a mask").click()
    page.get_by_role("button", name="All visible").click()
    assert shown_mask(page) == []
    expect(page.get_by_role("button", name="Look at this mask")).to_be_disabled()
    cell(page, 3).click()
    cell(page, 6).click(modifiers=["Shift"])
    assert shown_mask(page) == [3, 4, 5, 6]
    cell(page, 5).click()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    assert shown_mask(page) == [0, 3, 4, 6]
    page.keyboard.down("Shift")
    cell(page, 10).hover()
    page.mouse.down()
    cell(page, 11).hover()
    cell(page, 12).hover()
    page.mouse.up()
    page.keyboard.up("Shift")
    assert shown_mask(page) == [0, 3, 4, 6, 10, 11, 12]
    page.get_by_role("button", name="Look at this mask").click()
    assert page.evaluate("actions") == [["mask", {"mask": "0,3-4,6,10-12"}]]


def test_a_word_is_put_in_sight_and_a_draw_is_at_the_rates(mount: Mount) -> None:
    document = recorded()
    page = mount("inspection", document)
    page.get_by_role("button", name="Draw a mask").click()
    cell(page, 12).click()
    page.get_by_role("button", name="None of this word").click()
    visible = {place for place, state in enumerate(states(page, BASE)) if state == "visible"}
    text = "".join(document.response[place].text for place in sorted(visible))
    assert 12 in visible
    assert text.strip()
    assert " " not in text.strip()
    set_slider(page, "Diffusion time t", 0.9)
    page.evaluate("Math.random = () => 0.7")
    page.get_by_role("button", name="A draw at t").click()
    rates = document.checkpoints[0].relative_rate
    masked = [place for place, rate in enumerate(rates) if 1 - (1 - 0.9) ** rate > 0.7]
    assert 0 < len(masked) < len(rates)
    assert shown_mask(page) == masked


def test_a_link_holds_any_mask(mount: Mount) -> None:
    page = mount("inspection", recorded())
    random = np.random.default_rng(1)
    masks = [(random.uniform(size=size) < share).tolist() for size in (1, 2, 48) for share in (0.2, 0.5, 0.9)]
    written = page.evaluate(
        "async (masks) => { const { written } = await import('/assets/mask.js'); return masks.map(written); }", masks
    )
    for mask, text in zip(masks, written, strict=True):
        assert (parse_positions(text) if text else []) == [place for place, masked in enumerate(mask) if masked]


def test_what_is_predicted_at_a_mask_stands_above_the_probe(mount: Mount) -> None:
    document = recorded(4, 12)
    page = mount("inspection", document)
    assert shown_mask(page) == [4, 12]
    coloured = [place for place, fill in enumerate(fills(page, BASE)) if fill]
    assert coloured == [4, 12], "a token in sight has nothing to show"
    assert all(fills(page, "Tiny base: all masked"))
    entropy = document.checkpoints[0].entropy[12]
    expect(cell(page, 12)).to_have_attribute("aria-label", re.compile(f"masked, entropy {entropy / 2:.2f} nats"))
    cell(page, 12).hover()
    expect(page.locator(".gs-popover")).to_contain_text(f"{entropy / 2:.3f} nats")
    expect(page.locator(".gs-popover")).to_contain_text(f"{entropy:.3f} nats")
    page.get_by_role("radio", name="Rate β").check()
    assert all(fills(page, BASE)), "a mask changes no rate"
    page.get_by_role("radio", name="Entropy").check()
    page.get_by_role("radio", name="All masked (the probe)").check()
    assert all(fills(page, BASE))
    page.get_by_role("radio", name="This mask").check()
    page.get_by_role("button", name="Table").click()
    cells = page.locator("tbody tr").nth(3).locator("td")
    assert cells.nth(11).inner_text() == cells.nth(12).inner_text() == ""
    page.get_by_role("button", name="Draw a mask").click()
    page.get_by_role("button", name="Back to the probe").click()
    assert page.evaluate("actions") == [["mask", {"mask": ""}]]


def test_another_text_begins_with_everything_masked(mount: Mount) -> None:
    page = mount("inspection", recorded(4, 12))
    page.get_by_role("button", name="Draw a mask").click()
    other = recorded()
    backwards = other.model_copy(update={"response": other.response[::-1]})
    page.evaluate("data => component.update(data)", backwards.model_dump(mode="json"))
    expect(page.get_by_role("region", name="Mask")).to_be_hidden()
    assert set(states(page, BASE)) == {""}


# Data sets


def view(state: str = "finished", **changes: Any) -> dict[str, Any]:
    inspection = {"id": "di_1", "state": state, "done": 0, "total": None, "result": None, "problems": []} | changes
    return {"inspection": inspection, "api": "/api"}


def finished(*labels: str, **options: Any) -> dict[str, Any]:
    return view(result=dataset(*labels, **options).model_dump(mode="json"))


def test_a_data_set_shows_its_tokens_as_text_with_their_counts(mount: Mount) -> None:
    page = mount("dataset", finished("Base", "GIFT"))
    pane = page.locator(".gs-pane", has=page.get_by_role("heading", name="Base", exact=True))
    rows = pane.get_by_role("list", name="Least sure of").get_by_role("listitem")
    glyphs = dataset("Base", "GIFT").checkpoints[0].highest
    expect(rows).to_have_count(len(glyphs))
    for row, glyph in zip(rows.all(), glyphs, strict=True):
        expect(row).to_contain_text(f"{glyph.mean_entropy:.3f}")
        expect(row).to_contain_text(f"×{glyph.count}")
    expect(pane.get_by_text(HOSTILE_TEXT).first).to_be_visible()
    expect(page.locator("#host img, #host script")).to_have_count(0)


def test_shares_of_masking_stand_beside_their_bars_and_below_the_charts(mount: Mount) -> None:
    document = dataset("Base", "GIFT")
    page = mount("dataset", finished("Base", "GIFT"))
    kinds = page.get_by_role("list", name="Share of what is masked, by kind of token").locator("> li")
    present = [group for group in document.checkpoints[0].classes if group.tokens]
    expect(kinds).to_have_count(len(present))
    for kind, group in zip(kinds.all(), present, strict=True):
        expect(kind).to_contain_text(group.name)
        expect(kind).to_contain_text(f"{group.token_share:.1%}".replace("%", "\u00a0%"))
        expect(kind).to_contain_text(f"{group.masked_share:.1%}".replace("%", "\u00a0%"))
    for summary in page.get_by_text("Numbers", exact=True).all():
        summary.click()
    tables = page.locator("table")
    expect(tables).to_have_count(2)
    expect(tables.first.locator("tbody tr")).to_have_count(20)
    first = document.checkpoints[1].positions[0]
    expect(tables.first.locator("tbody tr").first).to_contain_text(f"{first.masked_share:.2%}".replace("%", "\u00a0%"))


def test_a_checkpoint_against_itself_shows_no_difference(mount: Mount) -> None:
    page = mount("dataset", finished("A", "B", seeds=(7, 7)))
    one, other = (
        page.locator(".gs-pane", has=page.get_by_role("heading", name=name, exact=True)).locator(".gs-lists")
        for name in "AB"
    )
    assert one.inner_text() == other.inner_text()
    lines = page.locator(".gs-line").evaluate_all("all => all.map((line) => line.getAttribute('d'))")
    assert lines[0::2] == lines[1::2]


def test_progress_is_followed_to_the_result_and_through_an_outage(mount: Mount) -> None:
    page = mount("dataset", None)
    answer: dict[str, Any] | None = None
    page.route(
        "**/api/dataset-inspections/di_1",
        lambda route: route.fulfill(json=answer["inspection"]) if answer else route.abort(),
    )
    page.evaluate("data => component.update(data)", view("queued"))
    expect(page.locator("#host")).to_contain_text("asking again")
    answer = view("running", done=64, total=128)
    expect(page.locator("#host")).to_contain_text("64 of 128")
    answer = finished("Base", "GIFT")
    expect(page.get_by_role("heading", name="Kinds of token")).to_be_visible()


def test_cancelling_and_failing_are_said(mount: Mount) -> None:
    page = mount("dataset", None)
    running = view("running", done=1, total=2)
    page.route("**/api/dataset-inspections/di_1", lambda route: route.fulfill(json=running["inspection"]))
    page.evaluate("data => component.update(data)", running)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Cancelling…")).to_be_disabled()
    assert page.evaluate("actions") == [["cancel", {"id": "di_1"}]]
    page.evaluate("data => component.update(data)", view("stopped"))
    expect(page.locator("#host")).to_contain_text("Cancelled.")
    problem = {"field": "row 3", "message": HOSTILE_TEXT, "remedy": "Remove it."}
    page.evaluate("data => component.update(data)", view("failed", problems=[problem]))
    expect(page.get_by_role("alert")).to_contain_text(HOSTILE_TEXT)
    expect(page.locator("#host img")).to_have_count(0)
