"""The pages and Gradio's own addresses, asked by every kind of caller, with a backend that answers and without."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from app import SHUTDOWN_SECONDS, create_app
from tests.api.secured import SECRET, Asker, askers_of
from tests.gate_site import (
    GUARDED,
    INVALID_KEYS,
    MALFORMED,
    PAGES,
    UNREADABLE,
    FailingBackend,
    ask,
    failing_backend,
    gradio_addresses,
)
from tests.serving import free_port, serve, serve_on
from ui.gate import Gate
from ui.server.identity import Identities
from ui.visitor import Visitors
from workers.account_records import Role, Scope
from workers.settings import Settings
from workers.studio import Studio

# The same for everybody, and nothing of the studio's.
OPEN = {"/openapi.json", "/assets/path", "/static/path", "/theme.css", "/favicon.ico", "/manifest.json"}
HTML = {"Accept": "text/html"}


@dataclass
class World:
    """Two whole studios over one data folder, the second one open to who is not signed in."""

    app: FastAPI
    private: httpx.Client
    public: httpx.Client
    askers: dict[str, Asker]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    data = tmp_path_factory.mktemp("gate") / "data"
    with free_port() as first, free_port() as second:
        ways = {"data_dir": data, "secret": SECRET, "embedded_worker": False, "requests_per_minute": 1_000_000}
        apps = [
            create_app(Settings(port=listener.getsockname()[1], public=public, **ways))
            for listener, public in ((first, False), (second, True))
        ]
        studio = Studio(Settings(**ways))
        with (
            serve_on(first, apps[0], shutdown_seconds=SHUTDOWN_SECONDS) as private,
            serve_on(second, apps[1], shutdown_seconds=SHUTDOWN_SECONDS) as public,
            client(private) as to_private,
            client(public) as to_public,
        ):
            yield World(apps[0], to_private, to_public, askers_of(studio))
        studio.close()


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, FailingBackend]]:
    """Pages whose backend fails, each way in turn."""
    with failing_backend() as backend, pages_of(backend.url, tmp_path_factory.mktemp("pages")) as http:
        yield http, backend


@pytest.fixture
def abandoned(tmp_path: Path) -> Iterator[httpx.Client]:
    """Pages whose backend is not there."""
    with free_port() as listener:
        gone = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pages_of(gone, tmp_path) as http:
        yield http


@contextmanager
def pages_of(api_url: str, folder: Path) -> Iterator[httpx.Client]:
    """A front end of its own for the backend at this address."""
    with free_port() as listener:
        settings = Settings(api_url=api_url, data_dir=folder, port=listener.getsockname()[1])
        with (
            serve_on(listener, create_app(settings), shutdown_seconds=SHUTDOWN_SECONDS) as address,
            client(address) as http,
        ):
            yield http


def client(address: str) -> httpx.Client:
    return httpx.Client(base_url=address, timeout=90, trust_env=False, follow_redirects=False)


def is_turned_away(asker: Asker, path: str, *, public: bool) -> bool:
    """What the rules say of a caller at an address of the pages."""
    if asker.invalid or (asker.role is None and not public):
        return True
    may_upload = asker.role not in (None, Role.VISITOR) and Scope.LAUNCH in asker.scopes
    return path.startswith("/gradio_api/upload") and not may_upload


@pytest.mark.parametrize("public", [False, True], ids=["private", "public"])
def test_the_matrix(world: World, public: bool) -> None:
    site = world.public if public else world.private
    for name, asker in world.askers.items():
        for method, path in GUARDED:
            status = ask(site, method, path, asker.headers).status_code
            assert (status == 401) == is_turned_away(asker, path, public=public), f"{name}, {method} {path}: {status}"
            assert status < 500, f"{name}, {method} {path}"


@pytest.mark.parametrize("public", [False, True], ids=["private", "public"])
def test_what_proves_nothing_opens_nothing(world: World, public: bool) -> None:
    site, nobody = (world.public if public else world.private), Asker({}, None)
    for header in MALFORMED:
        for method, path in GUARDED:
            status = ask(site, method, path, [header]).status_code
            assert (status == 401) == is_turned_away(nobody, path, public=public), (
                f"{header}, {method} {path}: {status}"
            )
            assert status < 500
    for header in INVALID_KEYS:
        for method, path in GUARDED:
            assert ask(site, method, path, [header]).status_code == 401, f"{header}, {method} {path}"
    for header in UNREADABLE:
        for method, path in GUARDED:
            assert ask(site, method, path, [header]).status_code == 400, f"{header}, {method} {path}"


def test_everything_that_gradio_answers_is_behind_the_door(world: World) -> None:
    addresses = gradio_addresses(world.app)
    assert len(addresses) > 60
    opened = set()
    for method, path in addresses:
        for headers in ({}, {"Cookie": 'gift_session="a\\012b"'}):
            answer = ask(world.private, method, path, headers)
            if answer.status_code != 401:
                opened.add(path)
            # Fetching for others is refused before anybody is asked for; none of it answers.
            assert answer.status_code < 500
    assert opened <= OPEN | {path for _, path in addresses if "/proxy=" in path}, opened - OPEN


def test_the_door_says_for_whom_it_has_opened(world: World) -> None:
    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.state.account)

    inner = FastAPI(routes=[Route("/gradio_api/heartbeat/x", answer)])
    identities = Identities(str(world.public.base_url))
    inner.add_middleware(Gate, identities=identities, visitors=Visitors(), is_private=False)  # type: ignore[arg-type]
    with serve(inner) as address, client(address) as http:
        accounts = {
            name: http.get("/gradio_api/heartbeat/x", headers=world.askers[name].headers).text
            for name in ("owner", "nobody")
        }
    assert accounts == {"owner": "hub:id-of-owner", "nobody": ""}


def test_a_page_is_sent_to_sign_in(world: World) -> None:
    for header in (*MALFORMED, *INVALID_KEYS):
        for page in PAGES:
            answer = ask(world.private, "GET", page, [header, (b"Accept", b"text/html")])
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/sign-in?next=%2F")


def callers(world: World) -> list[Any]:
    """All of them, and the headers that prove nothing."""
    known = [list(asker.headers.items()) for asker in world.askers.values()]
    return [*known, *([header] for header in (*MALFORMED, *INVALID_KEYS))]


@pytest.mark.parametrize("mode", [mode for mode in FailingBackend.MODES if mode != "silence"])
def test_without_an_answer_nobody_is_let_in(
    failing: tuple[httpx.Client, FailingBackend], world: World, mode: str
) -> None:
    site, backend = failing
    backend.mode = mode
    for headers in callers(world):
        for method, path in (("GET", "/config"), ("POST", "/gradio_api/queue/join"), ("GET", "/")):
            expect_no_answer(ask(site, method, path, headers))
    for method, path in GUARDED:
        # A page to take away says itself what its backend refuses.
        expect_no_answer(ask(site, method, path))
    for header in UNREADABLE:
        assert ask(site, "GET", "/config", [header]).status_code == 400


def test_a_backend_that_is_not_there_lets_nobody_in(abandoned: httpx.Client, world: World) -> None:
    for headers in callers(world)[:12]:
        expect_no_answer(ask(abandoned, "GET", "/config", headers))
    for method, path in GUARDED:
        expect_no_answer(ask(abandoned, method, path))


def test_a_backend_that_answers_too_late_lets_nobody_in_and_holds_nothing_up(
    failing: tuple[httpx.Client, FailingBackend], world: World
) -> None:
    site, backend = failing
    backend.mode = "silence"
    asked = [(method, path, headers) for method, path in GUARDED for headers in ((), world.askers["owner"].headers)]
    with ThreadPoolExecutor(len(asked)) as pool:
        waiting = [pool.submit(ask, site, method, path, headers) for method, path, headers in asked]
        # While all of them wait for the backend, what needs none is answered.
        assert site.get("/theme.css").status_code == 200
        for each in waiting:
            expect_no_answer(each.result())


def expect_no_answer(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["cache-control"] == "no-store"
    [problem] = answer.json()["problems"]
    assert "does not answer" in problem["message"]
    assert problem["remedy"]


def test_a_browser_gets_a_page_that_says_what_to_do(failing: tuple[httpx.Client, FailingBackend]) -> None:
    site, backend = failing
    backend.mode = "500"
    for page in PAGES:
        answer = site.get(page, headers=HTML)
        assert (answer.status_code, answer.headers["content-type"]) == (503, "text/html; charset=utf-8")
        assert int(answer.headers["retry-after"]) > 0
        assert "does not answer" in answer.text
        assert "Try again" in answer.text
        assert backend.url not in answer.text, "where the backend is concerns nobody who is not let in"
