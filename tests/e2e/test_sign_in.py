"""Somebody signs in on a studio with a secret, looks around, and signs out; no page breaks the security policy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.api.secured import SECRET
from tests.e2e.conftest import Server, start

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

# Something on each page that is there only when the page works and has heard from the backend.
PAGES = {
    "": "#preview .gs-pane",
    "runs": "#runs .gs-card",
    "tokens": "#inspection .gs-pane",
    "denoise": "#denoise .gs-pane",
    "evaluate": "#evaluations",
}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start(tmp_path_factory.mktemp("secured") / "data", GIFT_SECRET=SECRET)
    yield server
    server.process.terminate()
    server.process.wait(timeout=120)


@pytest.fixture
def violations(context: BrowserContext) -> list[str]:
    """What the browser refused because of the policy."""
    found: list[str] = []
    context.on(
        "console", lambda message: found.append(message.text) if "Content Security Policy" in message.text else None
    )
    return found


def sign_in(page: Page, secret: str) -> None:
    page.get_by_label("API key, or the admin's password").fill(secret)
    page.get_by_role("button", name="Sign in").click()


def test_sign_in_look_around_and_sign_out(secured: Server, context: BrowserContext, violations: list[str]) -> None:
    page = context.new_page()
    page.goto(f"{secured.url}/runs")
    sign_in(page, "something else")
    assert "neither the password nor a valid key" in page.get_by_role("alert").inner_text()
    sign_in(page, SECRET)
    page.wait_for_url(f"{secured.url}/runs")
    for path, shown in PAGES.items():
        page.goto(f"{secured.url}/{path}")
        page.wait_for_selector(shown)
    # Through Gradio's own way to the server and back.
    page.goto(secured.url)
    page.wait_for_selector("#preview .gs-pane")
    page.locator("#launch").click()
    page.wait_for_url("**/runs?experiment=*")
    page.get_by_role("link", name="Account").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    page.goto(f"{secured.url}/runs")
    page.wait_for_url("**/sign-in?next=*")
    assert not violations
