"""Another process holds the lock of the store's writers: whoever reads is answered, and whoever writes is told."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import pytest

from api.app import create_api
from tests.api.secured import key_of, person, secured_studio, session_of
from tests.serving import serve
from workers.account_records import Role
from workers.studio import Studio

# Above what a server has threads for.
MANY = 60


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    with closing(secured_studio(tmp_path)) as studio:
        yield studio


@pytest.fixture
def url(studio: Studio) -> Iterator[str]:
    with serve(create_api(studio)) as address:
        yield address


@contextmanager
def held(studio: Studio) -> Iterator[None]:
    """Somebody else writes, and does not come to an end within the block."""
    path = studio.data / "studio.sqlite3"
    with closing(sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def test_reading_by_key_and_in_a_session_does_not_wait(studio: Studio, url: str) -> None:
    admin = person(studio.accounts, "admin", Role.ADMIN)
    # A key that was never used: its use is to be noted.
    key, session = key_of(studio.accounts, admin), session_of(studio.accounts, admin)
    paths = ("/api/v1/runs", "/metrics", "/api/v1/session", "/sign-in")
    with httpx.Client(base_url=url, timeout=25) as http, held(studio), ThreadPoolExecutor(MANY) as threads:
        asked = [threads.submit(http.get, paths[n % 4], headers=(key, session)[n % 2]) for n in range(MANY)]
        assert http.get("/healthz").json() == {"status": "ok"}
        assert {each.result().status_code for each in asked} == {200}
        assert studio.accounts.api_keys()[0].last_used is None
    # Nothing is lost by it: what was to be noted is noted when the store is free.
    assert studio.store.database.beside.flush(60)
    assert studio.accounts.api_keys()[0].last_used is not None


def test_those_who_wait_to_write_leave_room_for_readers(studio: Studio, url: str) -> None:
    owner = person(studio.accounts, "owner")
    headers, reader = key_of(studio.accounts, owner), key_of(studio.accounts, person(studio.accounts, "reader"))
    for _ in range(MANY):
        session_of(studio.accounts, owner)
    ids = [session.id for session in studio.accounts.sessions.all(owner.id)]
    with ExitStack() as stack:
        http = stack.enter_context(httpx.Client(base_url=url, timeout=90, limits=httpx.Limits(max_connections=None)))
        threads = stack.enter_context(ThreadPoolExecutor(MANY))
        with held(studio):
            asked = [threads.submit(http.delete, f"/api/v1/sessions/{each}", headers=headers) for each in ids]
            assert http.get("/healthz").status_code == 200
            # Of another account: the owner's own wait behind each other.
            assert http.get("/api/v1/runs", headers=reader).status_code == 200
            assert any(not each.done() for each in asked), "the lock is still held"
        answers = [each.result() for each in asked]
    assert {each.status_code for each in answers} <= {200, 503}
    for each in answers:
        if each.status_code == 503:
            assert each.json()["code"] == "store_unavailable"
            assert each.json()["problems"][0]["remedy"] == "Try again in a few seconds."
            assert int(each.headers["retry-after"]) > 0
    # Whoever was refused has changed nothing.
    done = sum(each.status_code == 200 for each in answers)
    assert len(studio.accounts.sessions.all(owner.id)) == MANY - done


def test_refusals_do_not_wait_for_their_entry_in_the_audit_log(studio: Studio, url: str) -> None:
    visitor = session_of(studio.accounts, person(studio.accounts, "visitor", Role.VISITOR))
    with httpx.Client(base_url=url, timeout=25) as http, held(studio):
        assert http.post("/api/v1/experiments", json={}, headers=visitor).status_code == 403
        assert http.post("/sign-in", data={"secret": "wrong"}).status_code == 401
        assert studio.audit.page(10) == []
    assert studio.store.database.beside.flush(60)
    assert {entry.action for entry in studio.audit.page(10)} == {"launch", "sign_in"}
