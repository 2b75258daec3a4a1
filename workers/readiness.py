"""Whether what the studio depends on works: each check is silent, or raises an error in words that anybody may read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gift_core.errors import GiftError
from workers.database import Database
from workers.queue import JobQueue, QueueUnavailable
from workers.records import Switch

if TYPE_CHECKING:
    from workers.worker import Worker

_PROBE = "readiness"


class NotReadyError(GiftError):
    """Something that the studio needs does not work."""

    code = "not_ready"


def check_store(database: Database) -> None:
    """Read and write something. It is rolled back: being asked whether one is well leaves no traces."""
    with database.write() as session:
        session.get(Switch, _PROBE)
        session.merge(Switch(name=_PROBE, value="written"))
        session.flush()
        session.rollback()


def check_queue(queue: JobQueue) -> None:
    try:
        queue.ping()
    except QueueUnavailable:
        remedy = "Start its server; jobs are kept in the store meanwhile."
        raise NotReadyError("The queue does not answer.", remedy=remedy) from None


def check_worker(worker: Worker | None) -> None:
    """The embedded one; None before it is made."""
    if worker is None or not worker.alive():
        raise NotReadyError(
            "The embedded worker does not run.", remedy="Restart the studio; its log says why it ended."
        )
