"""Nothing that was computed is lost by one click, or by two: real trainings, their files, and what ends them."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from gift_core.recovery import last_checkpoint, step_of
from gift_core.spec import ExperimentSpec
from tests.e2e.conftest import Server, wait_for
from ui.client import StudioClient

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

LOADING = 60_000


def launch(client: StudioClient, *methods: str, checkpoint_every: int = 1000) -> list[str]:
    """Runs that take much longer than a test does; their ids."""
    spec = ExperimentSpec.parse(
        {
            "run": {
                "data": {"source": {"kind": "task", "task": "sudoku", "examples": 64}, "held_out": 8},
                "training": {"epochs": 500, "checkpoint_every": checkpoint_every},
                "evaluation": {"score": False},
            },
            "methods": list(methods),
        }
    )
    return [run.id for run in client.create_experiment(spec, key=str(uuid4())).runs]


def until_step(client: StudioClient, run: str, step: int) -> None:
    wait_for(lambda: client.run(run).state == "running" and client.run(run).step >= step, f"step {step}", 120)


def until(client: StudioClient, run: str, state: str) -> None:
    wait_for(lambda: client.run(run).state == state, state, 120)


def checkpoint(server: Server, run: str) -> int | None:
    """The step of the checkpoint that is on the disk, whole."""
    found = last_checkpoint(server.data / "runs" / run)
    return step_of(found) if found else None


def saved(client: StudioClient, server: Server, run: str) -> int:
    """Have a run train, then stop and save; the step."""
    until_step(client, run, 3)
    client.stop_job(run)
    until(client, run, "stopped")
    step = checkpoint(server, run)
    assert step
    assert client.run(run).saved_step == step
    return step


def card(page: Page, label: str) -> Locator:
    return page.get_by_role("article", name=f"Run {label},")


def row(page: Page, region: str) -> Locator:
    return page.get_by_role("region", name=region).get_by_role("listitem")


def opens(page: Page, client: StudioClient, run: str) -> Locator:
    """The link to the experiment of a run, which says whose row it is in."""
    return page.locator(f'a[href$="experiment={client.run(run).experiment_id}"]')


def weights(server: Server, run: str) -> dict[str, int]:
    folder: Path = server.data / "runs" / run
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*.safetensors")}


def test_a_saved_run_that_leaves_the_queue_has_all_that_it_had(
    page: Page, context: BrowserContext, server: Server, client: StudioClient
) -> None:
    sft, gift = launch(client, "sft", "gift")
    step = saved(client, server, sft)
    files = weights(server, sft)
    until_step(client, gift, 1)
    experiment = client.run(sft).experiment_id
    page.goto(f"{server.url}/runs?experiment={experiment}")
    mine = card(page, "SFT")
    mine.get_by_role("button", name="Resume").click()
    expect(mine).to_have_attribute("data-state", "queued", timeout=LOADING)
    mine.get_by_role("button", name="Stop", exact=True).click()
    mine.get_by_role("button", name="Take off the queue").click()
    expect(mine).to_have_attribute("data-state", "stopped", timeout=LOADING)
    expect(mine).to_contain_text(f"It can be resumed from step {step}.")
    assert (checkpoint(server, sft), weights(server, sft)) == (step, files)

    # Starting over, and taking that back from another window after a reload.
    mine.get_by_role("button", name="Start over").dblclick()
    expect(mine).to_have_attribute("data-state", "queued", timeout=LOADING)
    other = context.new_page()
    other.goto(f"{server.url}/queue")
    expect(row(other, "Waiting")).to_contain_text(f"Step {step} is kept until there is a new checkpoint.")
    page.reload()
    row(other, "Waiting").get_by_role("button", name="Undo").click()
    expect(card(page, "SFT")).to_have_attribute("data-state", "stopped", timeout=LOADING)
    expect(card(page, "SFT")).to_contain_text(f"It can be resumed from step {step}.")
    assert (checkpoint(server, sft), weights(server, sft)) == (step, files)


def test_a_start_over_that_has_begun_is_taken_back(page: Page, server: Server, client: StudioClient) -> None:
    (run,) = launch(client, "sft")
    step = saved(client, server, run)
    files, points = weights(server, run), client.metrics([run]).points
    page.goto(f"{server.url}/runs?experiment={client.run(run).experiment_id}")
    mine = card(page, "SFT")
    mine.get_by_role("button", name="Start over").click()
    until_step(client, run, 1)
    expect(mine).to_contain_text(f"Step {step} is kept until there is a new checkpoint.")
    assert checkpoint(server, run) is None
    mine.get_by_role("button", name="Undo").dblclick()
    expect(mine).to_have_attribute("data-state", "stopped", timeout=LOADING)
    expect(mine).to_contain_text(f"It can be resumed from step {step}.")
    assert (checkpoint(server, run), weights(server, run)) == (step, files)
    again = client.metrics([run]).points
    assert [(point.step, point.values) for point in again] == [(point.step, point.values) for point in points]


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("where", ["queue", "runs"])
def test_a_double_click_on_stop_stops_nothing(
    page: Page, server: Server, client: StudioClient, where: str, width: int
) -> None:
    running, waiting = launch(client, "sft", "gift")
    until_step(client, running, 2)
    page.set_viewport_size({"width": width, "height": 844})
    experiment = client.run(running).experiment_id
    page.goto(f"{server.url}/{where}" + (f"?experiment={experiment}" if where == "runs" else ""))
    ours = {
        "queue": [row(page, "Running").filter(has_text="SFT"), row(page, "Waiting").filter(has_text="GIFT")],
        "runs": [card(page, "SFT"), card(page, "GIFT")],
    }[where]
    for each, harmless in zip(ours, ("Keep running", "Stay in queue"), strict=True):
        each.get_by_role("button", name="Stop", exact=True).dblclick()
        each.get_by_role("button", name=harmless).dblclick()
        each.get_by_role("button", name="Stop", exact=True).dblclick()
        expect(each.get_by_role("button", name=harmless)).to_be_visible()
        page.keyboard.press("Escape")
    before = client.run(running).step
    wait_for(lambda: client.run(running).step > before, "it to go on")
    assert [client.run(run).state for run in (running, waiting)] == ["running", "queued"]


def test_a_discard_says_what_is_lost_and_is_taken_back(page: Page, server: Server, client: StudioClient) -> None:
    # On a busy machine, the training may not have the time to save once it is to be discarded.
    other, run = launch(client, "gift", "sft", checkpoint_every=2)
    # This one can be brought back as well, and is not.
    until_step(client, other, 3)
    client.stop_job(other, "discard")
    until(client, other, "stopped")
    until_step(client, run, 3)
    page.goto(f"{server.url}/queue")
    mine = row(page, "Running")
    mine.get_by_role("button", name="Stop", exact=True).click()
    discard = mine.get_by_role("button", name="Discard")
    expect(discard).to_contain_text("of work)")
    discard.dblclick()
    until(client, run, "stopped")
    job = client.job(run)
    assert (job.saved_step, job.step, job.actions) == (None, 0, ["retry", "undo", "delete"])
    # The newest of those that have ended is another one until the page is told of this one.
    ended = row(page, "Ended").filter(has=page.get_by_text("SFT", exact=True)).filter(has=opens(page, client, run))
    expect(ended).to_contain_text("can be brought back for a minute")
    ended.get_by_role("button", name="Undo").click()
    expect(ended.get_by_role("button", name="Resume")).to_be_visible(timeout=LOADING)
    assert checkpoint(server, run) == client.job(run).saved_step
    assert client.job(other).saved_step is None
    client.resume_job(run)
    until_step(client, run, 4)
