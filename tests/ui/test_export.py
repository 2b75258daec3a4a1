"""The offline page: one file that plays in a browser without a network, whatever its tokens say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from gift_core.comparison import compare
from tests.ui.component_data import HOSTILE
from tests.ui.mounting import PATIENCE, states
from tests.ui.trace_data import IN_ORDER, trace
from ui.export import embedded, offline_page

pytestmark = pytest.mark.e2e


@pytest.fixture
def offline(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """The exported page of two traces, opened as a file; at the end nothing may have failed or been asked for."""
    first, second = trace("GIFT", IN_ORDER), trace("SFT", IN_ORDER, swap_at=0, text=HOSTILE)
    path = tmp_path / "denoising.html"
    path.write_text(offline_page([first, second], {(0, 1): compare(first, second)}), "utf-8")
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: message.type in ("error", "warning") and wrong.append(message.text))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: request.url.startswith(("data:", path.as_uri())) or wrong.append(request.url))
    page.goto(path.as_uri())
    yield page
    context.close()
    assert wrong == []


def test_an_exported_page_plays_from_a_file(offline: Page) -> None:
    assert states(offline, "GIFT: response") == ["masked"] * 8 + ["waiting"] * 16
    offline.get_by_label("Speed").select_option("4")
    offline.get_by_label("Step", exact=True).fill("18")
    offline.get_by_role("button", name="Play").click()
    expect(offline.get_by_label("Step", exact=True)).to_have_value("24")
    expect(offline.locator(".gs-compare")).to_contain_text("23 of 24 tokens the same")
    offline.get_by_role("radio", name="Δ step").check()
    expect(offline.locator(".gs-differs")).to_have_count(2)
    # What needs a backend is not offered.
    expect(offline.get_by_role("button", name=re.compile("Branch|Cancel|Close"))).to_have_count(0)
    expect(offline.get_by_role("link")).to_have_count(0)


def test_a_hostile_token_stays_text(offline: Page) -> None:
    offline.get_by_label("Step", exact=True).fill("24")
    cell = offline.get_by_role("listbox", name="SFT: response").get_by_role("option").first
    expect(cell).to_have_text(HOSTILE)
    expect(offline.locator("img")).to_have_count(0)


def test_an_exported_page_has_the_looks_of_the_studio(offline: Page) -> None:
    strip = offline.get_by_role("listbox", name="GIFT: response")
    assert strip.evaluate("(node) => getComputedStyle(node).fontSize") == "15px"
    offline.emulate_media(color_scheme="dark")
    expect(offline.locator("body")).to_have_class("dark")


def test_embedded_json_ends_neither_its_script_nor_a_line() -> None:
    value = {"text": "</script><!-- \u2028\u2029"}
    text = embedded(value)
    assert not set("<\u2028\u2029") & set(text)
    assert json.loads(text) == value
