"""The browser components that show tokens, in a real browser and with real documents."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pytest
from playwright.sync_api import expect

from gift_core.documents import Token
from tests.ui.component_data import HOSTILE, SOLUTION, checkpoint, inspection, tokens_of, words_of
from tests.ui.mounting import Mount, fills, set_slider

pytestmark = pytest.mark.e2e

# Token strip


def test_a_token_of_markup_is_only_text(mount: Mount) -> None:
    page = mount("inspection", inspection(words_of("a", HOSTILE, "=1+1")))
    cell = page.get_by_role("listbox", name="Base: response").get_by_role("option").nth(1)
    expect(cell).to_have_text(HOSTILE)
    cell.hover()
    expect(page.locator(".gs-popover")).to_contain_text(HOSTILE)
    expect(page.locator("#host img, #host script")).to_have_count(0)


def test_tokens_of_one_glyph_share_a_cell_and_whitespace_can_be_seen(mount: Mount) -> None:
    response = [
        *(Token(id=i, text=text, glyph=0) for i, text in enumerate(["é", ""])),
        *words_of("", " the", "  ", "x\n")[1:],
        Token(id=2, text="<|eos|>", special=True, glyph=9),
    ]
    page = mount("inspection", inspection(response))
    cells = page.get_by_role("listbox", name="Base: response").get_by_role("option")
    assert cells.all_inner_texts() == ["é", " the", "··", "x⏎", "EOS"]
    cells.first.hover()
    expect(page.locator(".gs-popover section")).to_have_count(2)


def test_an_answer_in_rows_reads_as_a_grid(mount: Mount) -> None:
    page = mount("inspection", inspection(tokens_of(SOLUTION)))
    boxes = page.get_by_role("listbox", name="SFT: response").get_by_role("option").evaluate_all(
        "cells => cells.map((cell) => [cell.offsetLeft, cell.offsetTop])"
    )  # fmt: skip
    lefts, tops = np.array(boxes).reshape(4, 5, 2).transpose(2, 0, 1)
    assert (lefts == lefts[0]).all()
    assert (tops == tops[:, :1]).all()
    assert (np.diff(tops[:, 0]) > 0).all()


def test_the_keyboard_walks_and_pins(mount: Mount) -> None:
    page = mount("inspection", inspection(tokens_of(SOLUTION)))
    strip = page.get_by_role("listbox", name="Base: response")
    cells, card = strip.get_by_role("option"), page.locator(".gs-popover")
    expect(strip.locator("[tabindex='0']")).to_have_count(1)
    cells.first.focus()
    for key, position in [("ArrowRight", 1), ("ArrowDown", 6), ("ArrowUp", 1), ("End", 19), ("Home", 0)]:
        page.keyboard.press(key)
        expect(cells.nth(position)).to_be_focused()
        expect(card).to_contain_text(f"position {position}")
    page.keyboard.press("Enter")
    expect(cells.first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowRight")
    expect(card).to_contain_text("position 0")
    page.keyboard.press("Escape")
    expect(cells.first).to_have_attribute("aria-selected", "false")
    expect(card).to_be_hidden()


def test_pointing_at_a_token_marks_it_in_every_pane(mount: Mount) -> None:
    page = mount("inspection", inspection())
    page.get_by_role("listbox", name="SFT: response").get_by_role("option").nth(3).hover()
    for label in ("Base", "SFT", "GIFT"):
        strip = page.get_by_role("listbox", name=f"{label}: response")
        expect(strip.get_by_role("option").nth(3)).to_have_class(re.compile("gs-echo"))


def test_colours_are_readable_and_ordered_in_greyscale(mount: Mount) -> None:
    page = mount("inspection", inspection())
    scales = page.evaluate("""async () => {
      const { colourAt } = await import('/assets/scale.js');
      const levels = Array.from({ length: 101 }, (_, i) => i / 100);
      const table = (ramp, dark) => levels.map((level) => colourAt(ramp, level, dark));
      return ['sequential', 'diverging'].flatMap((ramp) => [false, true].map((dark) => table(ramp, dark)));
    }""")
    for number, scale in enumerate(scales):
        rgb = np.array([[int(c) for c in re.findall(r"\d+", level["fill"])] for level in scale]) / 255
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        luminance = linear @ [0.2126, 0.7152, 0.0722]
        ink = np.array([1.0 if level["ink"] == "#fff" else 0.0 for level in scale])
        contrast = (np.maximum(luminance, ink) + 0.05) / (np.minimum(luminance, ink) + 0.05)
        assert contrast.min() > 4.5
        if number < 2:
            assert len(set(np.sign(np.diff(luminance))) - {0}) == 1


# Inspection


def test_the_slider_recolours_by_the_formula(mount: Mount) -> None:
    document = inspection()
    page = mount("inspection", document)
    before = fills(page, "GIFT: masking probability")
    for t in (0.01, 0.3, 0.99):
        set_slider(page, "Diffusion time t", t)
        for each in document.checkpoints:
            expected = 1 - (1 - t) ** np.array(each.relative_rate)
            pane = page.locator(".gs-pane", has=page.get_by_role("heading", name=each.label))
            labels = pane.get_by_role("option").evaluate_all(
                "all => all.map((cell) => cell.getAttribute('aria-label'))"
            )
            shown = [float(label.rpartition(" ")[2]) for label in labels[: len(expected)]]
            assert shown == pytest.approx(expected, abs=0.0051)
            expect(pane.locator("header")).to_contain_text(f"SFT {t:.1%}".replace("%", "\u00a0%"))
            expect(pane.locator("header")).to_contain_text(f"GIFT {expected.mean():.1%}".replace("%", "\u00a0%"))
    assert fills(page, "GIFT: masking probability") != before


def test_every_layer_has_its_own_key(mount: Mount) -> None:
    page = mount("inspection", inspection())
    seen = set()
    titles = {
        "Entropy": "Entropy, nats",
        "Probability": "Probability of the token",
        "Rate β": "Masking rate β",
        "Masked tᵢ": "Masking probability tᵢ",
        "tᵢ − t": "tᵢ − t",
        "Weight": "Weight when masked",
        "tᵢ × weight": "tᵢ × weight",
    }
    for layer, title in titles.items():
        page.get_by_role("radio", name=layer, exact=True).check()
        expect(page.locator(".gs-legend").first).to_contain_text(title)
        seen.add(tuple(fills(page, "Base: response")))
    assert len(seen) == len(titles)


def test_a_long_response_is_recoloured_in_place(mount: Mount) -> None:
    response = words_of(*(f" w{i}" for i in range(2048)))
    document = inspection(response).model_copy(update={"checkpoints": [checkpoint("GIFT", response, 2)]})
    page = mount("inspection", document)
    page.get_by_role("radio", name="Masked tᵢ").check()
    before = fills(page, "GIFT: response")
    page.evaluate("window.cells = [...document.querySelectorAll('.gs-cell')]")
    set_slider(page, "Diffusion time t", 0.9)
    assert page.evaluate("cells.every((cell, i) => cell === document.querySelectorAll('.gs-cell')[i])")
    after = fills(page, "GIFT: response")
    assert len(after) == 2048
    assert sum(a != b for a, b in zip(before, after, strict=True)) > 1900


def test_the_table_copies_as_csv_without_formulas(mount: Mount) -> None:
    document = inspection(words_of("=1+1", "a,b", '"'))
    page = mount("inspection", document)
    page.get_by_role("button", name="Table").click()
    expect(page.locator("tbody tr")).to_have_count(3)
    expect(page.locator("tbody tr").first).to_contain_text(f"{document.checkpoints[0].entropy[0]:.3f}")
    page.get_by_role("button", name="Copy CSV").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    header, *rows = csv.reader(io.StringIO(page.evaluate("navigator.clipboard.readText()")))
    assert [row[1] for row in rows] == ["'=1+1", "a,b", '"']
    assert float(rows[2][header.index("GIFT r")]) == document.checkpoints[2].relative_rate[2]


def test_the_next_text_keeps_layer_and_time(mount: Mount) -> None:
    page = mount("inspection", inspection())
    page.get_by_role("radio", name="Weight", exact=True).check()
    set_slider(page, "Diffusion time t", 0.25)
    page.evaluate("data => component.update(data)", inspection(words_of("new")).model_dump(mode="json"))
    expect(page.get_by_role("listbox", name="Base: response")).to_have_text("new")
    expect(page.get_by_role("radio", name="Weight", exact=True)).to_be_checked()
    expect(page.get_by_label("Diffusion time t")).to_have_value("0.25")


def test_one_scale_fits_all_panes_or_reaches_the_maximum(mount: Mount) -> None:
    document = inspection()
    dim = [
        each.model_copy(update={"entropy": [0.17 * share / max(each.entropy) for share in each.entropy]})
        for each in document.checkpoints
    ]
    page = mount("inspection", document.model_copy(update={"checkpoints": dim}))
    ends = page.locator(".gs-legend").first.locator(".gs-legend-ticks")
    expect(ends).to_have_text("00.100.20")
    fitted = fills(page, "Base: response")
    page.get_by_role("radio", name="Full (ln V)").check()
    expect(page.get_by_role("radio", name="Full (ln V)")).to_be_focused()
    expect(ends).to_contain_text("4.03 = ln 56")
    full = fills(page, "Base: response")
    assert luminance(fitted) < luminance(full)
    # Another text is seen on the chosen scale, and layers of another measure have no such choice.
    page.evaluate("data => component.update(data)", document.model_dump(mode="json"))
    expect(page.get_by_role("radio", name="Full (ln V)")).to_be_checked()
    page.get_by_role("radio", name="Weight", exact=True).check()
    expect(page.get_by_role("group", name="Scale")).to_be_hidden()


def luminance(colours: list[str]) -> float:
    """Mean of all channels: on a light page, more colour is darker."""
    return float(np.mean([[int(c) for c in re.findall(r"\d+", colour)] for colour in colours]))
