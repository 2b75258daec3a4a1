"""Eight tabs of one browser: each loads, all are live over one stream, what is pressed in any of them is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.conftest import Server, wait_for
from tests.e2e.test_story import LOADING
from ui.client import StudioClient
from workers.recorded import EXPERIMENT_ID
from workers.records import JobState

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

# A browser has six connections to a host; two stay free for whatever is asked next.
MOST_HELD = 4
HELD = ("/api/v1/events", "/gradio_api/queue/data", "/gradio_api/heartbeat", "/traces/events")
# Of a page that is there before anything is computed, also on a machine that is busy.
SOON = 60_000


@pytest.fixture
def held(context: BrowserContext) -> Callable[[], list[str]]:
    """The connections that are open in all tabs for as long as something may come."""
    open_: list[Any] = []

    def begin(request: Any) -> None:
        if any(part in request.url for part in HELD):
            open_.append(request)

    def end(request: Any) -> None:
        if request in open_:
            open_.remove(request)

    context.on("request", begin)
    context.on("requestfinished", end)
    context.on("requestfailed", end)
    return lambda: [request.url for request in open_]


def launched(client: StudioClient, name: str, runs: int = 1, examples: int = 64) -> str:
    """An experiment that trains for minutes."""
    source = {"kind": "task", "examples": examples}
    run = {"data": {"source": source, "held_out": 8}, "training": {"epochs": 200}}
    spec = {"name": name, "run": run, "methods": ["sft", "gift"][:runs], "seeds": [1]}
    return client.create_experiment(spec, name).id


def tab(context: BrowserContext, server: Server, address: str, there: str) -> Page:
    page = context.new_page()
    page.goto(f"{server.url}/{address}")
    expect(page.locator(there).first).to_be_visible(timeout=SOON)
    return page


def denoising(context: BrowserContext, server: Server, settings: str) -> Page:
    """A tab that a link has filled in, and in which the button was pressed."""
    page = tab(context, server, f"denoise?{settings}", "#prompt textarea")
    page.click("#denoise-button:enabled", timeout=LOADING)
    expect(page.locator("#denoise .gs-chip")).not_to_have_count(0, timeout=LOADING)
    return page


def card(page: Page, state: str) -> Any:
    return page.locator(f"#runs .gs-card[data-state={state}]")


def test_eight_tabs_load_are_live_and_stop(
    context: BrowserContext, server: Server, client: StudioClient, held: Callable[[], list[str]]
) -> None:
    experiments = [launched(client, f"tab {number}") for number in range(4)]
    wait_for(lambda: client.runs(state=JobState.RUNNING), "the first run to begin", seconds=120)
    runs = [tab(context, server, f"runs?experiment={each}", "#runs .gs-card") for each in experiments]
    queue = tab(context, server, "queue", "#queue .gs-jobs li")
    tokens = tab(context, server, "tokens?checkpoints=tiny", "#prompt textarea")
    tokens.click("#inspect:enabled", timeout=LOADING)
    denoise = denoising(context, server, "checkpoints=tiny&steps=12")
    began = time.monotonic()
    evaluate = tab(context, server, "evaluate", "#evaluation .gs-empty >> text=Choose checkpoints")
    print(f"the eighth tab: {time.monotonic() - began:.1f} s")
    expect(evaluate.locator("#evaluate")).to_be_enabled()
    expect(denoise.locator("#denoise .gs-panes .gs-chip")).to_have_text("finished", timeout=LOADING)
    expect(tokens.locator("#inspection .gs-pane h3")).to_have_text(["Prompt", "Tiny base"], timeout=LOADING)

    streams = [url for url in held() if "/api/v1/events" in url]
    assert len(streams) == 1, streams
    assert len(held()) <= MOST_HELD
    for page in runs:
        expect(page.locator("#runs .gs-status")).to_have_text("live")
    # What happens in one experiment reaches its tab, and the queue's.
    expect(card(runs[0], "running")).to_have_count(1, timeout=LOADING)
    before = card(runs[0], "running").get_by_role("progressbar").get_attribute("aria-valuenow")
    expect(card(runs[0], "running").get_by_role("progressbar")).not_to_have_attribute(
        "aria-valuenow", before or "", timeout=LOADING
    )

    # Those that wait leave the queue from their own tabs, the one that runs stops from its.
    for page, experiment in list(zip(runs, experiments, strict=True))[1:]:
        card(page, "queued").get_by_role("button", name="Stop", exact=True).click()
        card(page, "queued").get_by_role("button", name="Take off the queue").click()
        expect(card(page, "queued")).to_have_count(0)
        assert {run.state for run in client.runs(experiment)} == {"stopped"}
    expect(queue.get_by_role("region", name="Waiting").get_by_role("listitem")).to_have_count(0)
    queue.get_by_role("region", name="Running").get_by_role("button", name="Stop", exact=True).click()
    queue.get_by_role("region", name="Running").get_by_role("button", name="Stop and save").click()
    expect(card(runs[0], "stopped")).to_have_count(1, timeout=LOADING)


def test_when_the_tab_that_holds_the_stream_is_closed_another_goes_on(
    context: BrowserContext, server: Server, client: StudioClient, held: Callable[[], list[str]]
) -> None:
    experiment = launched(client, "goes on", examples=65)
    tabs = [tab(context, server, f"runs?experiment={experiment}", "#runs .gs-card") for _ in range(3)]
    expect(card(tabs[0], "running")).to_have_count(1, timeout=LOADING)
    tabs.pop(0).close()
    wait_for(lambda: len(held()) == 1, "another tab to hold the stream")
    client.stop_job(client.runs(experiment)[0].id)
    for page in tabs:
        expect(card(page, "stopped")).to_have_count(1, timeout=LOADING)
        expect(page.locator("#runs .gs-status")).to_have_text("live")


def test_three_tabs_that_denoise_live_leave_room(
    context: BrowserContext, server: Server, held: Callable[[], list[str]]
) -> None:
    slow = "checkpoints=tiny&length=768&block_length=64&steps=768&suppress_eos=tokens"
    tabs = [denoising(context, server, f"{slow}&seed={seed}") for seed in range(70, 73)]
    expect(tabs[0].locator("#denoise .gs-note").first).to_contain_text("of 768 steps", timeout=LOADING)
    assert len([url for url in held() if "/api/v1/events" in url]) == 1
    assert len(held()) <= MOST_HELD
    other = tab(context, server, f"runs?experiment={EXPERIMENT_ID}", "#runs .gs-card")
    expect(other.locator("#runs .gs-status")).to_have_text("live")
    for page in tabs:
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#denoise .gs-chip")).to_have_text("cancelled", timeout=LOADING)
