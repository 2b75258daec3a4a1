"""What a new user does: launch a pair, leave, come back, look at tokens, watch the denoising."""

from __future__ import annotations

import math
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.e2e.conftest import Server, wait_for
from ui.client import StudioClient
from workers.recorded import EXPERIMENT_ID

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

# Milliseconds for a page to show what it was asked for while other runs train on the same cores.
LOADING = 60_000
FINISHED = "#runs .gs-card[data-state=finished]"
CURVES = """
document.querySelector('#runs .gs-chart')?.data?.filter((curve) => curve.showlegend !== false)
  .map((curve) => [curve.name, curve.x.length])
"""


def fill(page: Page, path: str, value: str) -> None:
    """Set a field of the spec, and leave its input as a person does."""
    field = field_of(page, path)
    # An input that has just been opened is there before its value is.
    expect(field).not_to_have_value("")
    field.fill(value)
    field.blur()


def field_of(page: Page, path: str) -> Locator:
    return page.locator(f"#field-{path.replace('.', '-')}").locator("input, textarea")


def open_section(page: Page, title: str) -> None:
    page.locator(f"#section-{title.split()[0].lower()} > button").click()
    settle(page)


def settle(page: Page) -> None:
    """Gradio mounts a section's fields when it is first opened, and sets them once more right after that."""
    page.evaluate("new Promise((done) => requestIdleCallback(() => requestIdleCallback(done)))")


def launch(page: Page) -> str:
    """Press the button; the experiment's id."""
    page.click("#launch")
    page.wait_for_url("**/runs?experiment=*")
    return parse_qs(urlsplit(page.url).query)["experiment"][0]


def stop(page: Page, state: str) -> None:
    """Stop the one run in this state, and confirm."""
    card = page.locator(f"#runs .gs-card[data-state={state}]")
    card.get_by_role("button", name="Stop", exact=True).click()
    card.get_by_role("button", name="Take off the queue" if state == "queued" else "Stop and save").click()
    expect(card).to_have_count(0)


def test_a_new_studio_has_something_real_to_show(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/runs?experiment={EXPERIMENT_ID}")
    expect(page.locator(FINISHED)).to_have_count(2, timeout=LOADING)
    expect(page.locator("#runs .gs-score")).to_have_count(2, timeout=LOADING)
    page.goto(f"{server.url}/tokens?experiment={EXPERIMENT_ID}")
    expect(page.locator("#inspection .gs-pane h3")).to_have_text(
        ["Prompt", "Tiny base", "SFT", "GIFT"], timeout=LOADING
    )
    # It begins with a problem of the task that the runs were trained on.
    expect(page.locator("#prompt textarea")).to_have_value(re.compile("How many"))
    page.goto(f"{server.url}/denoise?experiment={EXPERIMENT_ID}")
    expect(page.locator("#denoise .gs-verdict")).to_have_count(3, timeout=LOADING)
    expect(page.locator("#prompt textarea")).to_have_value(re.compile("How many"))


def test_a_pair_from_click_to_denoising(
    page: Page, context: BrowserContext, server: Server, client: StudioClient
) -> None:
    fill(page, "data.source.examples", "128")
    open_section(page, "Training")
    fill(page, "training.epochs", "3")
    open_section(page, "Examples and sampling")
    fill(page, "data.held_out", "32")
    experiment = launch(page)
    address = page.url

    # Closing the tab in the middle stops nothing, and the link shows everything again.
    page.wait_for_function("document.querySelector('#runs .gs-card[data-state=running]')")
    wait_for(lambda: client.experiment(experiment).runs[0].step > 0, "the first step")
    page.close()
    page = context.new_page()
    page.goto(address)
    expect(page.locator(FINISHED)).to_have_count(2, timeout=300_000)
    wait_for(lambda: sorted(page.evaluate(CURVES) or []) == [["GIFT", 6], ["SFT", 6]], "both curves")
    expect(page.locator("#runs .gs-score")).to_have_count(2)
    runs = client.experiment(experiment).runs
    assert [run.label for run in runs] == ["SFT", "GIFT"]
    assert {run.state for run in runs} == {"finished"}
    check_that_all_metrics_can_be_charted(page, client, [run.id for run in runs])

    page.locator(FINISHED).first.get_by_role("link", name="Tokens").click()
    page.wait_for_url("**/tokens?*")
    page.click("#inspect:enabled")
    expect(page.locator("#inspection .gs-pane h3")).to_have_text(
        ["Prompt", "Tiny base", "SFT", "GIFT"], timeout=LOADING
    )
    check_masking_probabilities(page, client, [run.id for run in runs])

    page.goto(f"{server.url}/denoise?experiment={experiment}")
    page.click("#denoise-button:enabled")
    expect(page.locator("#denoise .gs-verdict:visible")).to_have_count(3, timeout=LOADING)
    assert len(page.locator("#denoise .gs-panes .gs-pane").all()) == 3
    expect(page.locator("#denoise .gs-compare")).to_contain_text("of 48 tokens the same")
    masked = "#denoise .gs-panes .gs-cell[data-state=masked]"
    page.get_by_label("Step", exact=True).fill("0")
    expect(page.locator(masked)).not_to_have_count(0)
    page.get_by_role("button", name="Play").click()
    expect(page.locator(masked)).to_have_count(0, timeout=60_000)


def check_that_all_metrics_can_be_charted(page: Page, client: StudioClient, runs: list[str]) -> None:
    charted = page.evaluate(
        """async () => {
          const { GROUPS, partsOf } = await import('/components/metrics.js');
          return GROUPS.flatMap(([, metrics]) => metrics).flatMap(partsOf);
        }"""
    )
    reported = {name for point in client.metrics(runs).points for name in point.values}
    assert reported == set(charted)


def check_masking_probabilities(page: Page, client: StudioClient, runs: list[str]) -> None:
    """The slider's t_i are 1 - (1-t) ** r_i of the rates that the backend computed."""
    page.locator("#inspection input[type=range]").first.evaluate(
        "(slider) => { slider.value = 0.8; slider.dispatchEvent(new Event('input', { bubbles: true })); }"
    )
    prompt = page.locator("#prompt textarea").input_value()
    response = page.locator("#response textarea").input_value()
    found = client.inspect(["tiny", *runs], prompt, response)
    cells = page.get_by_role("option").or_(page.get_by_role("gridcell"))
    spoken = [
        label for label in cells.evaluate_all("(all) => all.map((cell) => cell.ariaLabel)") if "probability" in label
    ]
    shown = [float(label.split("probability ")[1].split()[0]) for label in spoken]
    expected = [1 - (1 - 0.8) ** rate for checkpoint in found.checkpoints for rate in checkpoint.relative_rate]
    # Each pane has two strips, entropy and t_i, and both say it: take the distinct ones in order.
    length = len(found.response)
    per_pane = [shown[start : start + length] for start in range(0, len(shown), 2 * length)]
    flat = [value for pane in per_pane for value in pane]
    assert len(flat) == len(expected)
    assert all(math.isclose(one, other, abs_tol=0.006) for one, other in zip(flat, expected, strict=True))


def test_stopping_a_running_and_a_queued_run(page: Page, client: StudioClient, server: Server) -> None:
    open_section(page, "Training")
    fill(page, "training.epochs", "500")
    open_section(page, "Examples and sampling")
    fill(page, "data.held_out", "8")
    experiment = launch(page)
    wait_for(lambda: client.experiment(experiment).runs[0].step > 0, "the first step")
    for state in ("queued", "running"):
        stop(page, state)
    # One that loads or trains saves first.
    expect(page.locator("#runs .gs-card[data-state=stopped]")).to_have_count(2, timeout=LOADING)
    wait_for(lambda: server.trainer() is None, "the training process to be gone")


def test_a_double_click_creates_one_experiment(page: Page, client: StudioClient) -> None:
    before = {experiment.id for experiment in client.experiments()}
    page.locator("#launch").dblclick()
    page.wait_for_url("**/runs?experiment=*")
    expect(page.locator("#runs .gs-card")).to_have_count(2)
    (created,) = {experiment.id for experiment in client.experiments()} - before
    for run in client.experiment(created).runs:
        client.stop(run.id)
    wait_for(lambda: all(run.has_ended for run in client.experiment(created).runs), "the runs to end")
    assert {experiment.id for experiment in client.experiments()} - before == {created}


def test_a_killed_training_process_is_a_failed_run_with_its_cause(page: Page, server: Server) -> None:
    open_section(page, "Training")
    fill(page, "training.epochs", "100")
    launch(page)
    wait_for(server.trainer, "a training process")
    trainer = server.trainer()
    assert trainer is not None
    trainer.kill()
    failed = page.locator("#runs .gs-card[data-state=failed]")
    expect(failed).to_have_count(1)
    expect(failed).to_contain_text("signal 9")
    # The queue goes on with the other run of the pair.
    expect(page.locator("#runs .gs-card[data-state=running]")).to_have_count(1)
