"""The Tokens page: a mask that is drawn and looked at, a data set that is probed, and links that reopen both."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.conftest import Server
from ui.client import StudioClient
from workers.recorded import EXPERIMENT_ID

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]

# Milliseconds until models have been loaded and asked.
COMPUTING = 60_000
STRIP = "Tiny base: response"
HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture
def tokens(context: BrowserContext, server: Server) -> Page:
    page = context.new_page()
    page.goto(f"{server.url}/tokens?experiment={EXPERIMENT_ID}")
    expect(page.locator("#inspection .gs-pane h3")).to_have_text(
        ["Prompt", "Tiny base", "SFT", "GIFT"], timeout=COMPUTING
    )
    return page


def link_of(page: Page, parameter: str) -> dict[str, str]:
    """The page's own link, once it has the parameter."""
    page.wait_for_url(f"**/tokens?*{parameter}=*", timeout=COMPUTING)
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def test_a_mask_is_looked_at_and_its_link_shows_it_again(tokens: Page, client: StudioClient) -> None:
    tokens.get_by_role("button", name="Draw a mask").click()
    tokens.get_by_role("button", name="All visible").click()
    cells = tokens.get_by_role("listbox", name=STRIP).get_by_role("option")
    cells.nth(3).click()
    cells.nth(9).click()
    cells.nth(11).click(modifiers=["Shift"])
    tokens.get_by_role("button", name="Look at this mask").click()
    expect(tokens.get_by_text("Entropy at this mask")).to_have_count(3, timeout=COMPUTING)
    link = link_of(tokens, "mask")
    assert link["mask"] == "3,9-11"

    tokens.reload()
    tokens.click("#inspect:enabled")
    expect(tokens.get_by_text("Entropy at this mask")).to_have_count(3, timeout=COMPUTING)
    found = client.inspect(link["checkpoints"].split(","), link["prompt"], link["response"], masked=[3, 9, 10, 11])
    for checkpoint in found.checkpoints:
        assert checkpoint.partial is not None
        strip = tokens.get_by_role("listbox", name=f"{checkpoint.label}: response").get_by_role("option")
        entropy = checkpoint.partial.entropy[9]
        expect(strip.nth(9)).to_have_attribute("aria-label", re.compile(f"masked, entropy {entropy:.2f} nats"))
        expect(strip.nth(8)).to_have_attribute("aria-label", re.compile("in sight"))

    # Another text is another response: the mask is not carried over.
    tokens.locator("#response textarea").fill("<answer>7</answer>")
    tokens.click("#inspect")
    expect(tokens.get_by_text("Entropy at this mask")).to_have_count(0, timeout=COMPUTING)
    expect(tokens).not_to_have_url(re.compile("mask="))


def test_a_mask_beyond_the_response_is_refused_once(context: BrowserContext, server: Server) -> None:
    page = context.new_page()
    page.goto(f"{server.url}/tokens?experiment={EXPERIMENT_ID}&mask=900")
    page.click("#inspect:enabled")
    expect(page.locator("#tokens-problems .gs-alert")).to_contain_text("Position 900", timeout=COMPUTING)
    page.click("#inspect")
    expect(page.locator("#inspection .gs-pane")).not_to_have_count(0, timeout=COMPUTING)
    expect(page.locator(".gs-alert")).to_have_count(0)


def test_a_data_set_is_looked_at_and_its_link_shows_it_again(tokens: Page, client: StudioClient) -> None:
    tokens.get_by_role("tab", name="Data set").click()
    # It begins with what the runs were trained on.
    expect(tokens.locator("#data-source input")).to_have_value("Word problems")
    tokens.locator("#data-examples input").fill("16")
    tokens.locator("#data-examples input").blur()
    tokens.click("#look")
    expect(tokens.locator("#dataset .gs-lists")).to_have_count(3, timeout=COMPUTING)
    link = link_of(tokens, "data")
    assert [link[name] for name in ("section", "data", "level", "examples")] == [
        "data",
        "word_problems",
        "standard",
        "16",
    ]
    shown = tokens.locator("#dataset").inner_text()
    tokens.reload()
    expect(tokens.locator("#dataset .gs-lists")).to_have_count(3, timeout=COMPUTING)
    assert tokens.locator("#dataset").inner_text() == shown
    tokens.get_by_role("tab", name="One text").click()
    expect(tokens.locator("#inspection .gs-pane")).to_have_count(4, timeout=COMPUTING)
    # What the link names is shown; what it merely describes waits for the button.
    tokens.goto(tokens.url.replace(f"dataset={link['dataset']}", "dataset="))
    expect(tokens.locator("#look")).to_be_enabled(timeout=COMPUTING)
    expect(tokens.locator("#dataset .gs-lists")).to_have_count(0)


def test_a_long_look_is_cancelled(tokens: Page) -> None:
    tokens.get_by_role("tab", name="Data set").click()
    tokens.locator("#data-examples input").fill("2000")
    tokens.locator("#data-examples input").blur()
    tokens.click("#look")
    tokens.get_by_role("button", name="Cancel").click(timeout=COMPUTING)
    expect(tokens.locator("#dataset")).to_contain_text("Cancelled.", timeout=COMPUTING)


def test_a_file_of_ones_own_is_looked_at_as_text(
    context: BrowserContext, server: Server, client: StudioClient, tmp_path: Path
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"{i}?", "response": f"{HOSTILE} {i}"}) + "\n" for i in range(9)))
    dataset = client.upload(path, path.name)
    page = context.new_page()
    page.goto(f"{server.url}/tokens?section=data&checkpoints=tiny,tiny&data={dataset.id}")
    page.click("#look:enabled")
    expect(page.locator("#dataset .gs-lists")).not_to_have_count(0, timeout=COMPUTING)
    expect(page.locator("#dataset")).to_contain_text("9 of 9 examples")
    expect(page.locator("#data-level")).to_be_hidden()
    expect(page.locator("#dataset img, #dataset script")).to_have_count(0)
