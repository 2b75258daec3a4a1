"""The Denoise page with the real backend: live, cancelled, reopened, gone on from, exported."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.conftest import Server
from tests.e2e.test_story import LOADING, field_of, settle
from ui.client import StudioClient

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]

SLOW = "length=768&block_length=64&steps=768&suppress_eos=tokens"
CHIP = "#denoise .gs-panes .gs-chip"


def traces_of(page: Page) -> list[str]:
    """The ids in the page's address."""
    return parse_qs(urlsplit(page.url).query)["traces"][0].split(",")


@pytest.fixture
def denoise(context: BrowserContext, server: Server) -> Page:
    page = context.new_page()
    page.goto(f"{server.url}/denoise?checkpoints=tiny&steps=12")
    page.click("#denoise-button:enabled")
    expect(page.locator(CHIP)).to_have_text("finished", timeout=LOADING)
    return page


def test_a_long_denoising_is_followed_cancelled_and_begun_anew(denoise: Page, server: Server) -> None:
    page = denoise
    page.goto(f"{server.url}/denoise?checkpoints=tiny&seed=5&{SLOW}")
    page.locator("#denoise-button:enabled").dblclick()
    page.wait_for_url("**/denoise?traces=*")
    expect(page.locator(CHIP)).to_have_count(1)
    # A reload comes back to it while it runs, with the form as it was.
    page.reload()
    expect(page.locator(CHIP)).to_have_text(re.compile(r"step [1-9]\d*"), timeout=LOADING)
    page.get_by_role("button", name="Sampling").click()
    expect(field_of(page, "sampling.length")).to_have_value("768")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(CHIP)).to_have_text("cancelled")
    page.locator("#denoise-button").click()
    expect(page.locator(CHIP)).to_have_text(re.compile(r"step [1-9]\d*"), timeout=LOADING)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(CHIP)).to_have_text("cancelled")


def test_a_token_is_edited_and_the_branch_has_a_link(denoise: Page, client: StudioClient) -> None:
    page = denoise
    page.get_by_label("Step", exact=True).fill("4")
    page.get_by_role("listbox", name="Tiny base: response").get_by_role("option").nth(3).click()
    page.get_by_label(re.compile("^Text from here on")).fill("9")
    page.get_by_role("button", name="Put text here").click()
    page.get_by_role("button", name="Branch from step 4").click()
    expect(page.locator(CHIP)).to_have_text(["finished", "finished"], timeout=LOADING)
    expect(page.locator("#denoise .gs-badge")).to_have_text("settings differ: given text")
    page.wait_for_url("**/denoise?traces=*%2C*")
    parent, child = traces_of(page)
    branch = client.trace(child).start.branch
    assert branch is not None
    assert (branch.trace, branch.cursor) == (parent, 4)
    page.reload()
    expect(page.locator("#denoise .gs-panes h3")).to_have_text(["Tiny base", "Tiny base, from step 4"], timeout=LOADING)
    expect(page.locator("#prompt textarea")).to_have_value(client.trace(child).start.prompt_text)


def test_given_text_stands_and_a_mistake_names_its_line(denoise: Page) -> None:
    page = denoise
    page.get_by_role("button", name="Sampling").click()
    settle(page)
    given = page.locator("#given textarea")
    given.fill("2: So\nand then")
    page.locator("#denoise-button").click()
    expect(page.locator("#denoise-problems .gs-alert")).to_contain_text("given text, line 2")
    given.fill("\n2: So\n47: far too long")
    page.locator("#denoise-button").click()
    expect(page.locator("#denoise .gs-alert")).to_contain_text("given text, line 3", timeout=LOADING)
    given.fill("2: So")
    page.locator("#denoise-button").click()
    expect(page.locator("#denoise .gs-panes [data-state=given]")).not_to_have_count(0, timeout=LOADING)
    expect(page.locator(CHIP)).to_have_text("finished", timeout=LOADING)
    # The link brings it back: that of these traces, and not of those that failed.
    page.wait_for_url("**/denoise?traces=*&given=2%3A+So*")
    page.reload()
    expect(page.locator("#denoise .gs-panes [data-state=given]")).not_to_have_count(0, timeout=LOADING)
    page.get_by_role("button", name="Sampling").click()
    expect(given).to_have_value("2: So")


def test_an_unknown_trace_is_said_so(denoise: Page, server: Server) -> None:
    denoise.goto(f"{server.url}/denoise?traces=tr_nowhere")
    expect(denoise.locator("#denoise-problems .gs-alert")).to_contain_text("tr_nowhere")
    expect(denoise.locator("#prompt textarea")).not_to_have_value("")


def test_what_is_shown_can_be_taken_away(denoise: Page, context: BrowserContext, tmp_path: Path) -> None:
    with denoise.expect_download() as offline:
        denoise.get_by_role("link", name="Download as an offline page").click()
    path = tmp_path / "page.html"
    offline.value.save_as(path)
    with denoise.expect_download() as document:
        denoise.get_by_role("link", name="as JSON").click()
    assert document.value.suggested_filename.endswith(".json")
    page = context.new_page()
    page.goto(path.as_uri())
    page.get_by_label("Step", exact=True).fill("12")
    expect(page.get_by_role("listbox", name="Tiny base: response").locator("[data-state=masked]")).to_have_count(0)
