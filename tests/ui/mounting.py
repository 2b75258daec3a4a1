"""Fixtures that put one component on an empty page of a real browser, and what the tests read from it."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from gift_core.documents import Document
from tests.ui.component_site import Site

# A busy machine may stand still for longer than the five seconds that Playwright waits.
PATIENCE = 30_000
expect.set_options(timeout=PATIENCE)

Mount = Callable[[str, object], Page]
MOUNT = """async ([component, data]) => {
  window.actions = [];
  const { mount } = await import(`/assets/${component}.js`);
  const onAction = (name, payload) => actions.push([name, payload]);
  window.component = mount(document.getElementById('host'), { data, onAction });
}"""


@pytest.fixture(scope="package")
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
    page.set_default_timeout(PATIENCE)
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


def hold_time(page: Page) -> None:
    """From now on, time passes on the page only as the test says."""
    page.clock.install()
    now = page.evaluate("Date.now()") / 1000
    # A minute later by the page's clock, which is set there at once: it must not have gone beyond that meanwhile.
    page.clock.pause_at(datetime.datetime.fromtimestamp(now + 60, datetime.UTC))
