"""The tabs of a browser hear of what happens over one connection, which another takes over when its tab is closed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.ui.component_data import run_view
from tests.ui.component_site import Site
from tests.ui.mounting import MOUNT, PATIENCE

pytestmark = pytest.mark.e2e

RUNS = {"experiment": "e1", "name": "An experiment", "api": "/api"}
HIDE = """(hidden) => {
  Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}"""
NO_LOCKS = "Object.defineProperty(navigator, 'locks', { value: undefined })"
CARDS = "#host .gs-card[data-state={}]"


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


def tab(context: BrowserContext, site: Site, data: dict[str, Any] | None = None) -> Page:
    page = context.new_page()
    page.clock.install()
    page.goto(site.url)
    page.evaluate(MOUNT, ["runs", data or RUNS])
    return page


def hears(page: Page, state: str, count: int = 1) -> None:
    expect(page.locator(CARDS.format(state))).to_have_count(count)


def test_tabs_share_one_connection_and_another_takes_it_over(context: BrowserContext, site: Site) -> None:
    site.publish("run", run_view("r1", "SFT"))
    tabs = [tab(context, site) for _ in range(3)]
    for page in tabs:
        hears(page, "running")
    assert site.wait_for_streams(1)
    for state in ("stopping", "stopped"):
        tabs.pop(0).close()
        site.publish("run", run_view("r1", "SFT", state))
        for page in tabs:
            hears(page, state)
            expect(page.locator(".gs-status").first).to_have_text("live")
        assert site.wait_for_streams(1)
    tabs[0].close()
    assert site.wait_for_streams(0)


def test_a_tab_hears_of_its_own_experiment_only(context: BrowserContext, site: Site) -> None:
    first = tab(context, site)
    second = tab(context, site, {**RUNS, "experiment": "e2"})
    site.publish("run", run_view("r1", "SFT"))
    site.publish("run", {**run_view("r2", "GIFT"), "experiment_id": "e2"})
    hears(first, "running")
    hears(second, "running")
    expect(first.get_by_role("heading", name="SFT")).to_be_visible()
    expect(second.get_by_role("heading", name="GIFT")).to_be_visible()


def test_a_tab_that_nobody_looks_at_leaves_after_a_while_and_catches_up(context: BrowserContext, site: Site) -> None:
    site.publish("run", run_view("r1", "SFT"))
    first, second = tab(context, site), tab(context, site)
    hears(first, "running")
    hears(second, "running")
    first.evaluate(HIDE, True)
    first.clock.run_for(31_000)
    # The other one leads now.
    site.publish("run", run_view("r1", "SFT", "stopped"))
    hears(second, "stopped")
    hears(first, "running")
    second.evaluate(HIDE, True)
    second.clock.run_for(31_000)
    assert site.wait_for_streams(0)
    first.evaluate(HIDE, False)
    hears(first, "stopped")
    second.evaluate(HIDE, False)
    hears(second, "stopped")
    assert site.wait_for_streams(1)


def test_a_glance_at_another_tab_changes_nothing(context: BrowserContext, site: Site) -> None:
    site.publish("run", run_view("r1", "SFT"))
    page = tab(context, site)
    hears(page, "running")
    page.evaluate(HIDE, True)
    page.clock.run_for(20_000)
    page.evaluate(HIDE, False)
    page.clock.run_for(20_000)
    site.publish("run", run_view("r1", "SFT", "stopped"))
    hears(page, "stopped")


def test_whoever_wants_to_be_notified_hears_of_it_in_a_hidden_tab_too(context: BrowserContext, site: Site) -> None:
    context.grant_permissions(["notifications"])
    site.publish("run", run_view("r1", "SFT"))
    page = tab(context, site)
    page.evaluate("localStorage.setItem('gift-studio-notifications', 'on')")
    hears(page, "running")
    page.evaluate(HIDE, True)
    page.clock.run_for(60_000)
    site.publish("run", run_view("r1", "SFT", "finished"))
    hears(page, "finished")


def test_tabs_of_different_accounts_share_nothing(context: BrowserContext, site: Site) -> None:
    site.publish("run", run_view("r1", "SFT"))
    first = tab(context, site)
    hears(first, "running")
    site.documents["session"] = {"account": "another"}
    second = tab(context, site)
    hears(second, "running")
    assert site.wait_for_streams(2)


def test_a_tab_by_itself_closes_its_connection_at_once_where_nobody_looks_at_it(
    context: BrowserContext, site: Site
) -> None:
    context.add_init_script(NO_LOCKS)
    site.publish("run", run_view("r1", "SFT"))
    first, second = tab(context, site), tab(context, site)
    hears(first, "running")
    hears(second, "running")
    assert site.wait_for_streams(2)
    first.evaluate(HIDE, True)
    first.clock.run_for(100)
    assert site.wait_for_streams(1)
    site.publish("run", run_view("r1", "SFT", "stopped"))
    first.evaluate(HIDE, False)
    hears(first, "stopped")
    assert site.wait_for_streams(2)
