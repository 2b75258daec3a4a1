"""Whether anything was committed, without a look at any row."""

from __future__ import annotations

import threading
from contextlib import closing

from workers.database import Database
from workers.records import Switch
from workers.store import JobStore


def test_the_sign_changes_with_every_commit_and_with_nothing_else(database_url):
    with closing(Database(database_url)) as watching, closing(Database(database_url)) as other:
        store = JobStore(other)
        before = watching.sign()
        store.jobs()
        assert watching.sign() == before
        for database in (other, watching):
            with database.write() as session:
                session.merge(Switch(name="paused", value=str(database is other)))
            after = watching.sign()
            assert after != before
            assert watching.sign() == after
            before = after


def test_a_transaction_that_is_under_way_is_told_of_when_it_is_over(database_url):
    """Whoever looks while somebody writes sees another sign afterwards, or the rows were missed for good."""
    with closing(Database(database_url)) as watching, closing(Database(database_url)) as other:
        written, go_on = threading.Event(), threading.Event()

        def write() -> None:
            with other.write() as session:
                session.merge(Switch(name="paused", value="True"))
                session.flush()
                written.set()
                go_on.wait(20)

        writer = threading.Thread(target=write)
        writer.start()
        assert written.wait(20)
        during = watching.sign()
        assert not JobStore(watching).paused
        go_on.set()
        writer.join()
        assert watching.sign() != during
        assert JobStore(watching).paused
