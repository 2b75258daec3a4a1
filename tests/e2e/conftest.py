"""A studio as `make run` starts it, and a real browser that refuses to be sent elsewhere."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from api.job_views import JobView
from ui.client import StudioClient
from ui.connection import StudioError
from workers.records import ACTIVE, JobState

# A busy machine may stand still for longer than the five seconds that Playwright waits.
expect.set_options(timeout=30_000)

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
# Chromium's own background traffic would drown the page's.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@dataclass
class Server:
    """A running studio."""

    url: str
    data: Path
    process: subprocess.Popen[bytes]

    def trainer(self) -> psutil.Process | None:
        """The training process, while there is one."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            # One that has just ended has no command line any more.
            with suppress(psutil.NoSuchProcess):
                if "workers.job_process" in child.cmdline():
                    return child
        return None


def start(data: Path, **more: str) -> Server:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Tests run side by side: threads that wait for each other on too few cores take many times as long.
    settings = {"GIFT_PORT": str(port), "GIFT_DATA_DIR": str(data), "GIFT_TRAINING_THREADS": "1"}
    environment = os.environ | settings | more
    log = (data.parent / "server.log").open("wb")
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=log, stderr=log)
    server = Server(f"http://127.0.0.1:{port}", data, process)
    wait_for(lambda: _answers(server.url), "the studio to answer", seconds=180)
    return server


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=10).is_success
    except httpx.TransportError:
        return False


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Look again every 50 ms until `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)


# Once for all of these tests, as they take turns: `nothing_goes_on` ends what each of them began.
@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start(tmp_path_factory.mktemp("studio") / "data")
    yield server
    server.process.terminate()
    server.process.wait(timeout=120)


@pytest.fixture
def client(server: Server) -> Iterator[StudioClient]:
    with StudioClient(server.url) as client:
        yield client


@pytest.fixture(autouse=True)
def nothing_goes_on(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test began has ended when the next one begins."""
    yield
    if "server" not in request.fixturenames:
        return
    with StudioClient(request.getfixturevalue("server").url) as client:
        for job in _going_on(client):
            with suppress(StudioError):  # It has just ended by itself.
                client.stop_job(job.id, "discard")
        wait_for(lambda: not _going_on(client), "everything to end")


def _going_on(client: StudioClient) -> list[JobView]:
    """The newest first: what is queued is not begun when what runs is stopped."""
    return client.jobs(state=[JobState.QUEUED, *ACTIVE]).items


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A fresh visitor; the test fails when any of its pages asks another host for anything, or raises an error."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    # The first page of a new studio waits until it has imported everything.
    context.set_default_timeout(90_000)
    elsewhere: list[str] = []
    errors: list[str] = []
    context.on("request", lambda request: elsewhere.append(request.url) if _is_elsewhere(request.url) else None)
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    context.close()
    assert not elsewhere
    assert not errors


def _is_elsewhere(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1"


@pytest.fixture
def page(context: BrowserContext, server: Server) -> Page:
    page = context.new_page()
    page.goto(server.url)
    page.wait_for_selector("#preview .gs-pane")
    return page
