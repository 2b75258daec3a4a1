"""Following a link computes nothing in the name of the person who follows it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Server
from tests.e2e.test_story import LOADING, settle
from ui.client import StudioClient

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]


def begun(client: StudioClient) -> tuple[list[str], list[str]]:
    """The traces and the jobs that there are."""
    return [trace.id for trace in client.traces()], [job.id for job in client.jobs().items]


@pytest.mark.parametrize(
    ("link", "field", "button", "result"),
    [
        ("denoise?checkpoints=tiny&prompt=1%2B1", "#prompt textarea", "#denoise-button", "#denoise .gs-pane"),
        ("tokens?checkpoints=tiny&prompt=1%2B1&response=2", "#prompt textarea", "#inspect", "#inspection .gs-pane"),
        ("tokens?section=data&checkpoints=tiny&data=sudoku&examples=8", "", "#look", "#dataset .gs-lists"),
    ],
)
def test_a_link_fills_the_form_and_leaves_the_rest_to_the_button(
    page: Page, server: Server, client: StudioClient, link: str, field: str, button: str, result: str
) -> None:
    before, computed = begun(client), list[str]()
    page.on("request", lambda request: computed.append(request.url) if "/traces/events" in request.url else None)
    page.goto(f"{server.url}/{link}")
    expect(page.locator(button)).to_be_enabled(timeout=LOADING)
    if field:
        expect(page.locator(field)).to_have_value("1+1")
    settle(page)
    expect(page.locator(result)).to_have_count(0)
    expect(page.locator(".gs-alert:visible")).to_have_count(0)
    assert begun(client) == before
    assert not computed
    page.click(button)
    expect(page.locator(result)).not_to_have_count(0, timeout=LOADING)
