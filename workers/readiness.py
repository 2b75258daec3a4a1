"""Whether what the studio depends on works: each check is silent, or raises an error in words that anybody may read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from workers.database import Database
from workers.disk import GIGABYTE, check_quota, check_room
from workers.health.probe import NotReadyError
from workers.queue import JobQueue, QueueUnavailable
from workers.records import Switch

if TYPE_CHECKING:
    from workers.studio import Studio
    from workers.worker import Worker

_PROBE = "readiness"
# A writer that holds the store for longer than this keeps the studio from its work.
_PATIENCE_SECONDS = 4.0
# Of the machine: see `workers.health.probe`.
_MACHINE = ("folder", "descriptors", "memory")


def checks_of(studio: Studio) -> dict[str, Callable[[], None]]:
    """What has to work for jobs to be carried out, by name."""
    checks: dict[str, Callable[[], None]] = {
        "store": lambda: check_store(studio.store.database),
        "queue": lambda: check_queue(studio.queue),
        "disk": lambda: check_disk(studio),
    }
    checks |= {name: partial(studio.probe.check, name) for name in _MACHINE}
    if studio.settings.artefacts_url is not None:
        checks["artefacts"] = studio.sharing.ping
    if studio.settings.embedded_worker:
        checks["worker"] = lambda: check_worker(studio.embedded)
    return checks


def held_up(studio: Studio) -> str:
    """Why no job is taken, "" while there is a worker that takes jobs, or none at all."""
    if studio.embedded is not None and studio.embedded.held_up:
        return studio.embedded.held_up
    reasons = [device.get("held_up", "") for worker in studio.store.workers() for device in worker.devices]
    return str(reasons[0]) if reasons and all(reasons) else ""


def check_disk(studio: Studio) -> None:
    """Raises `DiskFullError` where the disk or the quota leaves no room for another job."""
    check_room(studio.data, studio.floor_bytes)
    if studio.settings.disk_quota_gb is not None:
        check_quota(studio.sizes, int(studio.settings.disk_quota_gb * GIGABYTE))


def check_store(database: Database) -> None:
    """Read and write something. It is rolled back: being asked whether one is well leaves no traces."""
    with database.write(_PATIENCE_SECONDS) as session:
        session.get(Switch, _PROBE)
        session.merge(Switch(name=_PROBE, value="written"))
        session.flush()
        session.rollback()


def check_queue(queue: JobQueue) -> None:
    """Raises `NotReadyError` where the queue does not answer."""
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
