"""Numbers about the store that an operator watches, each read from an index or from what is new, never row by row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sqlalchemy import func, text
from sqlmodel import Session, col, select

from workers.records import ACTIVE, ENDED, Job, JobState, MetricPoint, Transition, Worker

Read = Callable[[], AbstractContextManager[Session]]
_AT_ONCE = 500
_STORE_BYTES = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    "postgresql": "SELECT pg_database_size(current_database())",
}


@dataclass(frozen=True)
class Ended:
    """The end of an attempt. `cause` is the failure's code, "" where nothing failed; `seconds` how long it ran."""

    kind: str
    state: JobState
    cause: str
    seconds: float | None


@dataclass(frozen=True)
class DeviceCount:
    """Of the workers on one host: devices of a kind (`cpu`, `cuda`), and how many have a job."""

    host: str
    kind: str
    total: int
    busy: int


class Counts:
    """Of one store, by `read` sessions."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def jobs(self) -> dict[tuple[str, str], int]:
        """How many there are, by kind and state; from `ix_job_kind_state` alone."""
        query = select(Job.kind, Job.state, func.count()).group_by(col(Job.kind), col(Job.state))
        with self._read() as session:
            return {(kind, state): number for kind, state, number in session.exec(query)}

    def longest_wait(self) -> float | None:
        """When the oldest of the jobs that no worker has taken yet was created; from `ix_job_untaken` alone."""
        untaken = (Job.state == JobState.QUEUED, Job.attempt == 0)
        with self._read() as session:
            return session.exec(select(func.min(Job.created)).where(*untaken)).one()

    def devices(self) -> list[DeviceCount]:
        with self._read() as session:
            workers = session.exec(select(Worker)).all()
            placed = select(Job.host, Job.placed_on).where(col(Job.state).in_(ACTIVE), Job.placed_on != "")
            busy = {(host, name) for host, names in session.exec(placed) for name in names.split(",")}
        names = {(worker.host, str(device["name"])) for worker in workers for device in worker.devices}
        kinds = sorted({(host, name.partition(":")[0]) for host, name in names})
        counted = []
        for host, kind in kinds:
            of_kind = {each for each in names if each[0] == host and each[1].partition(":")[0] == kind}
            counted.append(DeviceCount(host, kind, len(of_kind), len(of_kind & busy)))
        return counted

    def newest_point(self) -> int:
        """The cursor of the newest metric point, which is how many were ever stored."""
        with self._read() as session:
            return session.exec(select(func.max(MetricPoint.cursor))).one() or 0

    def store_bytes(self) -> int:
        """The size of the database."""
        with self._read() as session:
            query = text(_STORE_BYTES[session.get_bind().dialect.name])
            return int(session.connection().execute(query).scalar_one())

    def newest_transition(self) -> int:
        with self._read() as session:
            return session.exec(select(func.max(Transition.id))).one() or 0

    def ended_since(self, transition: int) -> tuple[list[Ended], int]:
        """The ends of attempts after that transition, and where to go on reading."""
        found: list[Ended] = []
        while True:
            newer = select(Transition).where(col(Transition.id) > transition).order_by(col(Transition.id))
            with self._read() as session:
                changes = session.exec(newer.limit(_AT_ONCE)).all()
                ends = [change for change in changes if _is_end(change)]
                found += _ends(session, ends)
            if not changes:
                return found, transition
            transition = changes[-1].id or transition


def _is_end(change: Transition) -> bool:
    """Whether an attempt ended, or a job before its first one; what is again as it was before has ended already."""
    never_begun = change.before == JobState.QUEUED and change.after == JobState.STOPPED
    return change.after in ENDED and (change.before in ACTIVE or never_begun)


def _ends(session: Session, changes: Sequence[Transition]) -> list[Ended]:
    jobs = {change.job_id for change in changes}
    kinds = dict(session.exec(select(Job.id, Job.kind).where(col(Job.id).in_(jobs))).all()) if jobs else {}
    return [
        Ended(
            kinds[change.job_id],
            JobState(change.after),
            change.cause if change.after == JobState.FAILED else "",
            _seconds(session, change),
        )
        for change in changes
        if change.job_id in kinds
    ]


def _seconds(session: Session, end: Transition) -> float | None:
    """Since the attempt was taken; None where none was. Read from the transitions of one job."""
    taken = (
        Transition.job_id == end.job_id,
        Transition.after == JobState.RUNNING,
        col(Transition.id) < end.id,
    )
    if end.before == JobState.QUEUED:
        return None
    start = session.exec(select(Transition.time).where(*taken).order_by(col(Transition.id).desc())).first()
    return None if start is None else max(0.0, end.time - start)
