"""Writes that no request waits for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import Session

from workers.connections.beside import Beside
from workers.database import Database
from workers.records import Switch


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.in_file(tmp_path / "studio.sqlite3")
    yield opened
    opened.close()


def switched(beside: Beside, name: str) -> bool:
    return beside.add(name, lambda session: session.add(Switch(name=name, value="on")))


def test_the_others_are_not_lost_with_a_write_that_fails(database: Database) -> None:
    def mistaken(_: Session) -> None:
        raise ValueError("cannot be written")

    beside = Beside(database.write)
    for number in range(5):
        switched(beside, f"before {number}")
    beside.add("mistaken", mistaken)
    for number in range(5):
        switched(beside, f"after {number}")
    assert beside.flush(60)
    with database.read() as session:
        assert all(session.get(Switch, f"{when} {number}") for when in ("before", "after") for number in range(5))
    beside.close()


def test_a_write_is_kept_where_no_thread_can_begin(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    beside = Beside(database.write)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        assert switched(beside, "kept")
    beside.close()
    with database.read() as session:
        assert session.get(Switch, "kept")
