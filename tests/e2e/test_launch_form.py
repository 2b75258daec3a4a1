"""The launch form in a browser: what is shown when, and which methods are launched."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import Server
from tests.e2e.test_story import field_of, fill, launch, open_section
from ui.client import StudioClient
from workers.recorded import EXPERIMENT_ID

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]


def choose(page: Page, path: str, choice: str) -> None:
    """Pick from a dropdown."""
    field_of(page, path).click()
    page.get_by_role("option", name=choice, exact=True).click()


def block(page: Page, path: str) -> Locator:
    return page.locator(f"#field-{path.replace('.', '-')}")


def test_fields_appear_with_the_choice_that_they_belong_to(page: Page) -> None:
    open_section(page, "Objective")
    open_section(page, "Adapter")
    every, rank = block(page, "objective.probe_every"), block(page, "training.lora.rank")
    expect(every).to_be_hidden()
    choose(page, "objective.probe", "every_k")
    expect(every).to_be_visible()
    expect(rank).to_be_hidden()
    choose(page, "training.adapter", "lora")
    expect(block(page, "model.quantisation")).to_be_visible()
    fill(page, "training.lora.rank", "7")
    choose(page, "training.adapter", "full")
    expect(rank).to_be_hidden()
    # What was typed is still there when it matters again.
    choose(page, "training.adapter", "lora")
    expect(field_of(page, "training.lora.rank")).to_have_value("7")


def test_a_tail_that_the_probe_cannot_follow_is_refused_until_one_of_them_changes(page: Page) -> None:
    open_section(page, "Objective")
    open_section(page, "Examples")
    choose(page, "objective.probe", "frozen")
    choose(page, "data.eos_tail", "longest")
    shown = page.locator("#launch-problems .gs-alert")
    expect(shown).to_contain_text("objective.probe frozen")
    choose(page, "objective.probe", "online")
    expect(shown).to_have_count(0)
    expect(page.locator("#preview .gs-pane")).to_have_count(3)


def test_controls_are_launched_after_the_pair(page: Page, client: StudioClient) -> None:
    page.get_by_label("Start from").click()
    page.get_by_role("option", name="Smoke test", exact=True).click()
    expect(field_of(page, "data.source.examples")).to_have_value("64")
    expect(page.locator("#controls")).to_be_hidden()
    open_section(page, "Controls")
    page.get_by_label("CART").check()
    page.get_by_label("Shuffled").check()
    expect(page.locator("#launch")).to_have_text("Launch SFT + GIFT + SHUFFLED + CART")
    experiment = launch(page)
    labels = ["SFT", "GIFT", "SHUFFLED", "CART"]
    expect(page.locator("#runs .gs-card h3")).to_have_text(labels)
    assert [run.label for run in client.experiment(experiment).runs] == labels


def test_what_a_launch_would_take_follows_the_form(page: Page, client: StudioClient) -> None:
    panel = page.locator("#preflight")
    expect(panel.locator(".gs-facts")).to_contain_text("160")
    fill(page, "data.source.examples", "128")
    expect(panel.locator(".gs-facts")).to_contain_text("6,144 learned")
    open_section(page, "Training")
    fill(page, "training.learning_rate", "abc")
    open_section(page, "Training")
    expect(block(page, "training.learning_rate")).to_be_hidden()
    expect(panel.get_by_role("list", name="Problems")).to_contain_text('"abc" is not a number')
    panel.get_by_role("button", name="training.learning_rate").click()
    expect(field_of(page, "training.learning_rate")).to_be_focused()
    fill(page, "training.learning_rate", "0.1")
    expect(panel.get_by_role("list", name="Warnings")).to_contain_text("far above 0.0005")
    # What is only worth considering stands in nobody's way.
    assert len(client.experiment(launch(page)).runs) == 2


def test_a_clone_is_the_form_filled_with_the_run(page: Page, server: Server, client: StudioClient) -> None:
    recorded = client.experiment(EXPERIMENT_ID).runs[1]
    page.goto(f"{server.url}/runs?experiment={EXPERIMENT_ID}")
    page.get_by_role("article", name="Run GIFT").get_by_role("link", name="Clone").click()
    expect(page.locator("#origin")).to_contain_text(f"GIFT of {client.experiment(EXPERIMENT_ID).name}")
    expect(page.locator("#launch")).to_have_text("Launch GIFT")
    open_section(page, "Adapter")
    expect(field_of(page, "training.lora.rank")).to_have_value("8")
    (run,) = client.experiment(launch(page)).runs
    assert client.run(run.id).spec == client.run(recorded.id).spec


def test_what_was_entered_survives_a_reload_and_is_gone_once_it_is_launched(page: Page, server: Server) -> None:
    draft, name = page.locator("#draft"), page.locator("#name").locator("input, textarea").first
    fill(page, "data.source.examples", "77")
    name.fill("Entered with care")
    open_section(page, "Adapter")
    choose(page, "training.adapter", "lora")
    page.wait_for_function("JSON.stringify(localStorage).includes('lora')")
    page.reload()
    expect(draft).to_contain_text("is filled in")
    expect(name).to_have_value("Entered with care")
    expect(field_of(page, "data.source.examples")).to_have_value("77")
    open_section(page, "Adapter")
    expect(block(page, "training.lora.rank")).to_be_visible()
    expect(page.locator("#preflight .gs-facts")).to_contain_text("3,696 learned")
    draft.get_by_role("button", name="Discard").click()
    expect(name).to_have_value("")
    expect(field_of(page, "data.source.examples")).to_have_value("1000")
    draft.get_by_role("button", name="Undo").click()
    expect(name).to_have_value("Entered with care")
    expect(field_of(page, "data.source.examples")).to_have_value("77")
    launch(page)
    page.goto(server.url)
    expect(page.locator("#preview .gs-pane")).to_have_count(3)
    expect(name).to_have_value("")
    expect(draft).to_be_hidden()
