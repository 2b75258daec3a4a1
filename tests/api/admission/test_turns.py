"""One caller takes everything that it can; the next turn but one is another's, at every address that computes."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import ClientDisconnect

from api.admission.lines import Lines
from api.app import create_api
from api.dependencies import Services
from tests.api.secured import key_of, person, secured_studio
from tests.serving import serve
from workers.account_records import Role
from workers.fairness.requester import STUDIO, Requester
from workers.fairness.semaphore import FairSemaphore
from workers.preflight import PreflightService

RUN = {"data": {"source": {"kind": "task", "examples": 4}, "held_out": 2}}
COMPUTING: dict[str, tuple[str, Callable[[Lines], FairSemaphore], dict[str, Any]]] = {
    "preflights": ("/preflights", lambda lines: lines.preflights, {"run": RUN}),
    "inspections": (
        "/inspections",
        lambda lines: lines.inspections,
        {"checkpoints": ["tiny"], "prompt": "1+1?", "response": "2"},
    ),
    "previews": ("/previews", lambda lines: lines.previews, {"run": RUN, "start": 0, "rows": 2}),
}


@dataclass
class Site:
    """A public studio with accounts behind a server."""

    services: Services
    http: httpx.Client
    pool: ThreadPoolExecutor

    def key(self, name: str, role: Role = Role.OWNER) -> dict[str, str]:
        accounts = self.services.studio.accounts
        return key_of(accounts, person(accounts, name, role))

    def post(self, path: str, body: Any, key: dict[str, str]) -> httpx.Response:
        return self.http.post(path, json=body, headers=key)

    def begin(self, path: str, body: Any, key: dict[str, str]) -> Future[httpx.Response]:
        return self.pool.submit(self.post, path, body, key)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    studio = secured_studio(tmp_path, public=True)
    app = create_api(studio)
    with (
        serve(app) as url,
        ThreadPoolExecutor(40) as pool,
        httpx.Client(base_url=f"{url}/api/v1", timeout=120, limits=httpx.Limits(max_connections=None)) as http,
    ):
        yield Site(app.state.services, http, pool)
    studio.close()


def connected(site: Site, path: str, body: Any, key: dict[str, str]) -> socket.socket:
    """A connection on which a request was sent, whose answer nobody reads."""
    url, content = site.http.base_url, json.dumps(body)
    head = f"POST {url.path.rstrip('/')}{path} HTTP/1.1\r\nHost: {url.host}:{url.port}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    connection = socket.create_connection((url.host, url.port or 80), timeout=90)
    connection.sendall(f"{head}Authorization: {key['Authorization']}\r\n\r\n{content}".encode())
    return connection


def until(condition: Callable[[], object]) -> None:
    deadline, never = time.monotonic() + 90, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        never.wait(0.01)


@pytest.mark.parametrize("kind", COMPUTING)
def test_another_caller_is_served_at_the_second_turn_at_the_latest(site: Site, kind: str) -> None:
    path, line, body = COMPUTING[kind]
    turns = line(site.services.lines)
    with turns.held(STUDIO):
        greedy = site.key("greedy")
        answers = [site.begin(path, body, greedy) for _ in range(4)]
        until(lambda: turns.waiting() == 4)
        refused = site.post(path, body, greedy)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
        answers.append(site.begin(path, body, site.key("other")))
        answers.append(site.begin(path, body, site.key("admin", Role.ADMIN)))
        until(lambda: turns.waiting() == 6)
        order = granted_in_order(turns)
    assert [answer.result().status_code for answer in answers] == [200] * 6
    assert set(order[:3]) == {"hub:id-of-greedy", "hub:id-of-other", "hub:id-of-admin"}
    assert len(order) == 6


def granted_in_order(turns: FairSemaphore) -> list[str]:
    """The accounts in the order of their turns, noted as they are granted."""
    granted: list[str] = []
    take = turns._shares.take

    def noted(by: Requester) -> None:
        granted.append(by.name)
        take(by)

    turns._shares.take = noted  # type: ignore[method-assign]
    return granted


@pytest.mark.parametrize("kind", COMPUTING)
def test_visitors_take_no_place_of_owners(site: Site, kind: str) -> None:
    """However many they are: less than half of the places is theirs, and the next turn is not."""
    path, line, body = COMPUTING[kind]
    turns = line(site.services.lines)
    with turns.held(STUDIO):
        visitors = [site.key(f"visitor {number}", Role.VISITOR) for number in range(9)]
        asked = [site.begin(path, body, visitor) for visitor in visitors for _ in range(4)]
        until(lambda: turns.waiting() + sum(each.done() for each in asked) == len(asked))
        assert turns.waiting() == 7
        owners = [site.begin(path, body, site.key(name)) for name in ("first", "second", "third")]
        until(lambda: turns.waiting() == 10)
    assert sorted(each.result().status_code for each in asked) == [200] * 7 + [503] * 29
    assert [each.result().status_code for each in owners] == [200] * 3


def test_the_jobs_of_one_account_leave_room_for_those_of_others(site: Site) -> None:
    def respond(number: int, key: dict[str, str]) -> httpx.Response:
        return site.post("/responses", {"checkpoint": "tiny", "prompts": [f"{number}?"]}, key)

    greedy, other, admin = site.key("greedy"), site.key("other"), site.key("admin", Role.ADMIN)
    assert [respond(number, greedy).status_code for number in range(33)] == [202] * 32 + [409]
    assert "32 of your jobs of this kind" in respond(33, greedy).json()["detail"]
    assert [respond(100 + number, other).status_code for number in range(3)] == [202] * 3
    assert [respond(200 + number, admin).status_code for number in range(33)] == [202] * 33
    for path, body in (
        ("/evaluations", {"checkpoints": ["tiny"], "source": {"kind": "generated", "count": 4}}),
        ("/dataset-inspections", {"checkpoints": ["tiny"], "run": RUN}),
    ):
        assert [site.post(path, body, key).status_code for key in (greedy, other, admin)] == [202] * 3, path


def test_ordinary_requests_of_one_caller_wait_without_holding_the_threads(site: Site) -> None:
    """Forty requests that cannot go on hold eight threads; everybody else is answered meanwhile."""
    store, go_on = site.services.studio.store, threading.Event()
    greedy, other = site.key("greedy"), site.key("other")
    runs, inside = store.runs, threading.Semaphore(0)

    def slow(*given: Any, **named: Any) -> Any:
        inside.release()
        assert go_on.wait(90)
        return runs(*given, **named)

    turns = site.services.lines.requests
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store, "experiment", slow)
        stuck = [site.pool.submit(site.http.get, f"/experiments/e{number}", headers=greedy) for number in range(30)]
        for _ in range(8):
            assert inside.acquire(timeout=90)
        until(lambda: turns.waiting() == 22)
        assert site.http.get("/jobs", headers=other).status_code == 200
        assert site.http.get("/jobs").status_code == 200
        go_on.set()
        for each in stuck:
            each.result()
    assert turns.waiting() == 0


def test_who_has_gone_is_not_served(site: Site) -> None:
    """It leaves the line, and its place is another's."""
    turns, greedy = site.services.lines.preflights, site.key("greedy")
    with turns.held(STUDIO):
        connections = [connected(site, "/preflights", {"run": RUN}, greedy) for _ in range(4)]
        until(lambda: turns.waiting() == 4)
        for connection in connections:
            connection.close()
        until(lambda: turns.waiting() == 0)
        until(lambda: not site.services.limits._taken._shares._held)
    assert site.post("/preflights", {"run": RUN}, greedy).status_code == 200


def test_a_report_ends_when_its_client_has_gone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    limits, ended = site.services.limits, list[BaseException]()
    began, report = threading.Event(), PreflightService.report

    def slow(service: PreflightService, experiment: object, effect: float, still_wanted: Callable[[], None]) -> Any:
        presence = still_wanted.__self__  # type: ignore[attr-defined]
        began.set()
        assert presence._gone.wait(90), "the server has not seen that the connection was closed"
        try:
            return report(service, experiment, effect, still_wanted)
        except ClientDisconnect as error:
            ended.append(error)
            raise

    monkeypatch.setattr(PreflightService, "report", slow)
    with connected(site, "/preflights", {"run": RUN}, site.key("greedy")):
        assert began.wait(90)
    until(lambda: ended)
    until(lambda: not limits._taken._shares._held)
    assert len(ended) == 1
