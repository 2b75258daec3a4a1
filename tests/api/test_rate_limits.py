"""How much one caller may ask for: requests, places to compute in, jobs that wait, bytes, and time for a body."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.app import create_api
from api.caller import Caller
from api.quotas import QuotaError, Quotas
from api.rate_limits import TokenBuckets, TooManyError
from gift_core.spec import ExperimentSpec
from tests.api.secured import key_of, person, secured_studio, stop_the_clock
from tests.data_hub import serving_data
from tests.serving import serve
from workers.account_records import Role
from workers.studio import Studio


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.integers(1, 100), st.lists(st.floats(0, 120), min_size=1, max_size=200))
def test_no_minute_has_more_than_twice_what_is_allowed(per_minute: int, pauses: list[float]) -> None:
    clock = Clock()
    buckets = TokenBuckets(per_minute, clock)
    passed = []
    for pause in pauses:
        clock.now += pause
        try:
            buckets.take("somebody")
            passed.append(clock.now)
        except TooManyError:
            pass
    for start in passed:
        # A full bucket at once, and what flows in within the minute.
        assert sum(start <= each < start + 60 for each in passed) <= 2 * per_minute


@given(st.integers(1, 600))
def test_the_time_that_is_said_is_enough(per_minute: int) -> None:
    clock = Clock()
    buckets = TokenBuckets(per_minute, clock)
    for _ in range(per_minute):
        buckets.take("somebody")
    with pytest.raises(TooManyError) as refused:
        buckets.take("somebody")
    buckets.take("another")
    clock.now += int(refused.value.headers["Retry-After"])
    buckets.take("somebody")


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[tuple[Studio, httpx.Client]]:
    studio = secured_studio(
        tmp_path, requests_per_minute=6, changes_per_minute=3, queued_runs=4, account_upload_mb=1, upload_limit_mb=5
    )
    app = create_api(studio)
    stop_the_clock(app)
    with serve(app) as url, httpx.Client(base_url=url, timeout=60) as http:
        yield studio, http
    studio.close()


def test_an_account_that_asks_too_often_is_told_when_to_come_back(limited: tuple[Studio, httpx.Client]) -> None:
    studio, http = limited
    first, second = (key_of(studio.accounts, person(studio.accounts, name)) for name in ("first", "second"))
    answers = [http.get("/api/v1/runs", headers=first) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 6 + [429]
    assert answers[-1].headers["content-type"] == "application/problem+json"
    assert 0 < int(answers[-1].headers["retry-after"]) <= 10
    assert http.get("/api/v1/runs", headers=second).status_code == 200, "others are not concerned"


def test_changes_are_counted_apart(limited: tuple[Studio, httpx.Client]) -> None:
    studio, http = limited
    key = key_of(studio.accounts, person(studio.accounts, "first"))
    changes = [http.post("/api/v1/runs/run_nowhere/stop", headers=key).status_code for _ in range(4)]
    assert changes == [404] * 3 + [429]
    assert http.get("/api/v1/runs", headers=key).status_code == 200


def test_keys_cannot_be_tried_out_quickly(limited: tuple[Studio, httpx.Client]) -> None:
    _, http = limited
    guesses = [{"Authorization": f"Bearer gift_{number:010x}_{'a' * 43}"} for number in range(7)]
    answers = [http.get("/api/v1/runs", headers=guess).status_code for guess in guesses]
    assert answers == [401] * 6 + [429]


def _caller(name: str, role: Role = Role.OWNER) -> Caller:
    return Caller(f"hub:{name}", name, role)


def _launch(studio: Studio, quotas: Quotas, caller: Caller) -> bool:
    spec = ExperimentSpec()
    try:
        with quotas.launching(caller, lambda: len(spec.expand())):
            studio.store.create_experiment(spec, None, by=caller.account_id)
    except QuotaError:
        return False
    return True


def test_two_launches_at_once_do_not_share_the_last_place(limited: tuple[Studio, httpx.Client]) -> None:
    studio, _ = limited
    quotas, begin = Quotas(studio), threading.Barrier(8)

    def launch(_: int) -> bool:
        begin.wait()
        return _launch(studio, quotas, _caller("first"))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(launch, range(8))) == 2, "of two runs each, four may wait"
    assert studio.store.queued_by("hub:first") == 4
    assert _launch(studio, quotas, _caller("second"))
    assert all(_launch(studio, quotas, _caller("admin", Role.ADMIN)) for _ in range(3))


def test_an_idle_queue_makes_room_again(limited: tuple[Studio, httpx.Client]) -> None:
    studio, _ = limited
    quotas, caller = Quotas(studio), _caller("first")
    assert [_launch(studio, quotas, caller) for _ in range(3)] == [True, True, False]
    for run in studio.store.jobs():
        studio.stop(run.id, by="test")
    assert _launch(studio, quotas, caller)


@pytest.mark.parametrize("is_declared", [True, False])
def test_data_sets_of_one_account_have_a_limit_together(
    limited: tuple[Studio, httpx.Client], is_declared: bool
) -> None:
    studio, http = limited
    row = b'{"prompt": "a", "response": "%d"}\n'
    key = key_of(studio.accounts, person(studio.accounts, "first"))

    def upload(marker: int, size: int) -> httpx.Response:
        body = (row % marker) * (size // len(row))
        content = body if is_declared else iter([body])
        return http.post("/api/v1/datasets", params={"name": f"{marker}.jsonl"}, content=content, headers=key)

    assert upload(1, 700_000).status_code == 201
    refused = upload(2, 700_000)
    assert (refused.status_code, refused.json()["code"]) == (429, "quota")
    assert upload(3, 200_000).status_code == 201
    assert sorted(path.suffix for path in (studio.settings.data_dir / "datasets").iterdir()) == [".jsonl"] * 2


def test_who_uploads_what_another_has_deleted_owns_it(limited: tuple[Studio, httpx.Client]) -> None:
    studio, http = limited
    first, second = (key_of(studio.accounts, person(studio.accounts, name)) for name in ("first", "second"))
    row = b'{"prompt": "a", "response": "b"}\n'
    for key in (first, second):
        uploaded = http.post("/api/v1/datasets?name=a.jsonl", content=row, headers=key).json()["id"]
        assert http.delete(f"/api/v1/datasets/{uploaded}", headers=key).status_code == 204
        assert studio.accounts.owner(f"dataset/{uploaded}") is None


@pytest.mark.parametrize("is_told", [True, False])
def test_what_is_fetched_from_the_hub_counts_as_well(
    limited: tuple[Studio, httpx.Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    studio, http = limited
    row, key = '{"prompt": "a", "response": "%d"}\n', key_of(studio.accounts, person(studio.accounts, "first"))

    def fetch(name: str) -> httpx.Response:
        return http.post("/api/v1/datasets/hub", json={"dataset": name}, headers=key)

    with serving_data(tmp_path / "hub", monkeypatch) as hub:
        if not is_told:
            # The Hub does not say of every file how large it is.
            monkeypatch.setattr(hub, "size_of", lambda _: None)
        for number in (1, 2):
            hub.put(f"a/rows{number}", "train.jsonl", (row % number * (700_000 // len(row))).encode())
        assert fetch("a/rows1").status_code == 201
        refused = fetch("a/rows2")
        assert (refused.status_code, refused.json()["code"]) == (429, "quota")
        assert hub.fetched == ["train.jsonl"] * (1 if is_told else 2)
    uploaded = http.post("/api/v1/datasets?name=a.jsonl", content=(row % 3).encode() * 20_000, headers=key)
    assert uploaded.status_code == 429
    assert len(studio.datasets.list()) == 1


@pytest.mark.parametrize(("path", "parts"), [("/api/v1/experiments", 1), ("/api/v1/datasets?name=a.jsonl", 3)])
def test_who_sends_a_body_too_slowly_is_sent_away(tmp_path: Path, path: str, parts: int) -> None:
    """The first parts come in time, the next one never: a JSON body has its time in all, a file for each part."""
    studio = secured_studio(tmp_path, body_seconds=0.3)
    key = key_of(studio.accounts, person(studio.accounts, "slow"))["Authorization"]
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Length: 1000\r\n\r\n"
    with serve(create_api(studio)) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(head.encode() + b"{" * parts)
            answer = b""
            while part := connection.recv(4096):
                answer += part
    studio.close()
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"application/problem+json" in answer
    assert b"did not arrive within 0.3 s" in answer
