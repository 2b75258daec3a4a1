"""Evaluating the recorded checkpoints in a browser, from the form to the denoising of one answer."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.conftest import Server
from ui.client import StudioClient
from workers.recorded import EXPERIMENT_ID

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]

# Milliseconds, while other tests compute on the same cores.
LOADING = 120_000
COUNT = 8
NAMES = ["Tiny base", "SFT", "GIFT"]


@pytest.fixture
def evaluate(context: BrowserContext, server: Server) -> Page:
    page = context.new_page()
    page.goto(f"{server.url}/evaluate?experiment={EXPERIMENT_ID}")
    # What the experiment's runs learned: the form is filled in all at once, and begins with another task.
    expect(page.locator("#evaluation-task input")).to_have_value("Word problems", timeout=LOADING)
    return page


def ids_in(address: str) -> list[str]:
    return parse_qs(urlsplit(address).query)["evaluations"][0].split(",")


def test_checkpoints_are_evaluated_compared_and_watched(evaluate: Page, client: StudioClient, server: Server) -> None:
    page = evaluate
    page.locator("#count input").fill(str(COUNT))
    page.click("#evaluate")
    page.wait_for_url("**/evaluate?evaluations=*")
    address = page.url

    # A reload in the middle loses nothing, and ordering the same again is the same evaluation.
    page.reload()
    expect(page.locator("#evaluation .gs-card[data-state=finished] h3")).to_have_text(NAMES, timeout=LOADING)
    expect(page.locator("#count input")).to_have_value(str(COUNT))
    page.locator("#evaluation .gs-card").first.evaluate("card => card.dataset.before = ''")
    page.click("#evaluate")
    # All is drawn anew when the answer is there.
    expect(page.locator("#evaluation .gs-card[data-before]")).to_have_count(0)
    expect(page.locator("#evaluation .gs-card")).to_have_count(3)
    assert page.url == address

    found = [client.evaluation(identity) for identity in ids_in(address)]
    assert [each.state for each in found] == ["finished"] * 3
    rows = page.locator("#evaluation .gs-section").first.locator("tbody tr")
    expect(rows).to_have_count(3)
    for row, each in zip(rows.all(), found, strict=True):
        expect(row).to_contain_text(f"{each.solved} of {COUNT}")
    (compared,) = client.compare_evaluations(found[2].id, found[1].id)
    paired = compared.seeds[0].paired
    expect(page.locator("#evaluation .gs-conclusion").nth(1)).to_contain_text(
        f"{paired.only_a} items only GIFT, {paired.only_b} only SFT"
    )

    page.locator("#evaluation .gs-answers").get_by_role("button", name="0", exact=True).click()
    answer = client.answers(found[2].id)[0]
    expect(page.get_by_label("Response of GIFT")).to_have_text(answer.response, use_inner_text=True)
    # What one can watch is that answer, token for token.
    (watched,) = client.denoise([found[2].order.checkpoint], answer.prompt, found[2].conditions[0].sampling, seed=0)
    assert watched.end.text == answer.response
    page.get_by_role("link", name="Watch it").click()
    page.wait_for_url("**/denoise?checkpoints=*")
    expect(page.locator("#prompt textarea")).to_have_value(answer.prompt, timeout=LOADING)
    for name in NAMES:
        expect(page.locator("#checkpoints")).to_contain_text(name)
    page.click("#denoise-button:enabled")
    expect(page.locator("#denoise .gs-verdict")).to_have_count(3, timeout=LOADING)


def test_what_cannot_be_asked_is_refused_with_its_field(evaluate: Page, client: StudioClient) -> None:
    before = client.evaluations()
    evaluate.locator("#lengths").locator("input, textarea").fill("47")
    evaluate.click("#evaluate")
    shown = evaluate.locator("#evaluate-problems .gs-alert")
    expect(shown).to_contain_text("lengths")
    expect(shown).to_contain_text("Choose a length")
    assert client.evaluations() == before


def test_one_that_was_stopped_goes_on(evaluate: Page, client: StudioClient) -> None:
    page = evaluate
    page.locator("#count input").fill("2000")
    page.click("#evaluate")
    page.wait_for_url("**/evaluate?evaluations=*")
    cards = page.locator("#evaluation .gs-card")
    expect(cards).to_have_count(3)
    # Those in the queue first, so that none of them begins.
    for card in reversed(cards.all()):
        card.get_by_role("button", name="Stop").click()
    expect(page.locator("#evaluation .gs-card[data-state=stopped]")).to_have_count(3, timeout=LOADING)
    base = cards.first
    base.get_by_role("button", name="Go on").click()
    expect(page.locator("#evaluation .gs-card[data-state=running]")).to_have_count(1, timeout=LOADING)
    identity = ids_in(page.url)[0]
    base.get_by_role("button", name="Stop").click()
    expect(page.locator("#evaluation .gs-card[data-state=stopped]")).to_have_count(3, timeout=LOADING)
    assert client.evaluation(identity).done < 2000
