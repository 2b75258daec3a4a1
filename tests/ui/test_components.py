"""The browser components, in a real browser and with real documents."""

from __future__ import annotations

import csv
import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from tests.ui.component_data import (
    HOSTILE,
    SOLUTION,
    checkpoint,
    inspection,
    points,
    preview,
    run_view,
    tokens_of,
    trace,
    words_of,
)
from tests.ui.component_site import Site
from playwright.sync_api import Browser, Page, expect, sync_playwright

from gift_core.documents import Document, Token

pytestmark = pytest.mark.e2e

Mount = Callable[[str, object], Page]
MOUNT = """async ([component, data]) => {
  window.actions = [];
  const { mount } = await import(`/assets/${component}.js`);
  const onAction = (name, payload) => actions.push([name, payload]);
  window.component = mount(document.getElementById('host'), { data, onAction });
}"""
RUNS = {"experiment": "e1", "api": "/api", "links": {"tokens": "/tokens?experiment={experiment}&run={run}"}}
IN_ORDER = list(range(24))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        server.drop_streams()
        server.shutdown()


@pytest.fixture
def mount(browser: Browser, site: Site) -> Iterator[Mount]:
    """Mounts a component on a fresh page; at the end nothing may have failed or come from another host."""
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(15_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: request.url.startswith((site.url, "data:")) or wrong.append(request.url))

    def mount_on_page(component: str, data: object) -> Page:
        page.goto(site.url)
        page.evaluate(MOUNT, [component, data.model_dump(mode="json") if isinstance(data, Document) else data])
        return page

    yield mount_on_page
    context.close()
    assert wrong == []


def fills(page: Page, strip: str) -> list[str]:
    cells = page.get_by_role("listbox", name=strip, exact=True).locator(".gs-cell")
    return cells.evaluate_all("cells => cells.map((cell) => cell.style.getPropertyValue('--fill'))")


def states(page: Page, strip: str) -> list[str]:
    return page.get_by_role("listbox", name=strip).locator(".gs-cell").evaluate_all(
        "cells => cells.map((cell) => cell.dataset.state)"
    )  # fmt: skip


def set_slider(page: Page, label: str, value: float) -> None:
    page.get_by_label(label).fill(str(value))


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
    for layer in ("Entropy", "Masking probability tᵢ", "Weight when masked", "tᵢ − t"):
        page.get_by_role("radio", name=layer, exact=True).check()
        expect(page.locator(".gs-legend").first).to_contain_text(layer)
        seen.add(tuple(fills(page, "Base: response")))
    assert len(seen) == 4


def test_a_long_response_is_recoloured_in_place(mount: Mount) -> None:
    response = words_of(*(f" w{i}" for i in range(2048)))
    document = inspection(response).model_copy(update={"checkpoints": [checkpoint("GIFT", response, 2)]})
    page = mount("inspection", document)
    page.get_by_role("radio", name="Masking probability tᵢ").check()
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
    page.get_by_role("radio", name="Weight when masked").check()
    set_slider(page, "Diffusion time t", 0.25)
    page.evaluate("data => component.update(data)", inspection(words_of("new")).model_dump(mode="json"))
    expect(page.get_by_role("listbox", name="Base: response")).to_have_text("new")
    expect(page.get_by_role("radio", name="Weight when masked")).to_be_checked()
    expect(page.get_by_label("Diffusion time t")).to_have_value("0.25")


# Denoising


def test_the_player_steps_to_the_right_state(mount: Mount) -> None:
    order = [3, 1, 0, 2, 7, 6, 5, 4, *range(8, 24)]
    page = mount("denoise", {"traces": [trace("GIFT", order).model_dump(mode="json")]})
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
    expect(page.get_by_label("Step", exact=True)).to_have_value("0")


def test_playing_runs_to_the_end_and_stops(mount: Mount) -> None:
    page = mount("denoise", {"traces": [trace("GIFT", IN_ORDER).model_dump(mode="json")]})
    page.get_by_label("Speed").select_option("4")
    page.get_by_label("Step", exact=True).fill("20")
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.get_by_label("Step", exact=True)).to_have_value("24")
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_panes_share_the_step_and_the_first_divergence_is_found(mount: Mount) -> None:
    short = trace("SFT", [5, 1, 0, 2])
    traces = [trace("GIFT", [5, 1, 2, 0, *[i for i in IN_ORDER if i not in (5, 1, 2, 0)]]), short]
    page = mount("denoise", {"traces": [each.model_dump(mode="json") for each in traces]})
    page.get_by_role("button", name="First divergence").click()
    expect(page.get_by_label("Step", exact=True)).to_have_value("3")
    assert [i for i, state in enumerate(states(page, "GIFT: response")) if state == "revealed"] == [2]
    assert [i for i, state in enumerate(states(page, "SFT: response")) if state == "revealed"] == [0]
    page.get_by_label("Step", exact=True).fill("24")
    assert states(page, "SFT: response").count("committed") == 4
    expect(page.locator(".gs-verdict").first).to_have_text("solved")


def test_equal_traces_never_diverge(mount: Mount) -> None:
    both = [trace(label, IN_ORDER).model_dump(mode="json") for label in ("A", "B")]
    page = mount("denoise", {"traces": both})
    expect(page.get_by_role("button", name="Identical at every step")).to_be_disabled()


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
    page.get_by_role("button", name="Stop now").click()
    assert page.evaluate("actions") == [["stop", {"run": "r1"}]]
    expect(page.get_by_role("button", name="Stopping…")).to_be_disabled()
    site.publish("run", run_view("r1", "SFT", "stopped"))
    expect(page.locator(".gs-chip")).to_contain_text("stopped")
    expect(page.get_by_role("button", name="Stopping…")).to_be_hidden()


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
        ["question", "prompt"], ["answer", "response"], ["source", "not", "used"]
    ]  # fmt: skip
    assert set(states(page, "Row 1: prompt")) == {"prompt"}
    assert states(page, "Row 1: response") == ["learned"] * 7 + ["tail"] * 3
    expect(page.get_by_role("alert")).to_have_count(0)
    page.evaluate("data => component.update(data)", json.loads(preview(0.62).model_dump_json()))
    expect(page.get_by_role("alert")).to_contain_text("62 %")


EMPTY = [("inspection", None), ("denoise", {"traces": []}), ("runs", {}), ("preview", None)]


@pytest.mark.parametrize(("component", "data"), EMPTY)
def test_without_data_a_component_says_what_will_be_there(mount: Mount, component: str, data: Any) -> None:
    expect(mount(component, data).locator(".gs-empty")).to_be_visible()
