"""Messages to be delivered: each is stored before it is sent, once for each event of an attempt and each receiver."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, Column, UniqueConstraint, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, Session, SQLModel, col, delete, func, select

from workers.records import Job, JobState, Switch, Transition

if TYPE_CHECKING:
    from workers.database import Database

# So many that have been settled are remembered, so that nothing is said twice.
_REMEMBERED = 10_000
_AT_ONCE = 200
_SEEN = "notified"


class Delivery(SQLModel, table=True):
    """A message to one receiver. `target` stands for its URL, which is stored nowhere. `tries` were begun."""

    __table_args__ = (UniqueConstraint("job_id", "attempt", "event", "target"),)

    id: int | None = Field(default=None, primary_key=True)
    job_id: str
    attempt: int
    event: str
    target: str
    body: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    created: float = Field(default_factory=time.time)
    tries: int = 0
    settled: bool = Field(default=False, index=True)
    outcome: str = ""


@dataclass(frozen=True)
class Message:
    """What is to be said of an attempt at a job."""

    job_id: str
    attempt: int
    event: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Change:
    """A change of state, the job as it is now, and the attempt that it was a change of."""

    transition: Transition
    job: Job
    attempt: int


class Outbox:
    """The messages of one store. Any number of processes may put in the same, and try to deliver them."""

    def __init__(self, database: Database) -> None:
        self._read = database.read
        self._write = database.write

    def put(self, messages: Sequence[Message], targets: Collection[str], seen: int | None = None) -> None:
        """Store messages that are not there yet; `seen` is the last change of state that they were made from."""
        with self._write() as session:
            rows = [
                {"job_id": m.job_id, "attempt": m.attempt, "event": m.event, "body": m.body, "target": target}
                | {"created": time.time(), "tries": 0, "settled": False, "outcome": ""}
                for m in messages
                for target in sorted(targets)
            ]
            if rows:
                dialect: Any = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
                session.connection().execute(dialect.insert(Delivery).on_conflict_do_nothing(), rows)
            if seen is not None:
                session.merge(Switch(name=_SEEN, value=str(seen)))

    def unseen(self) -> tuple[list[Change], int]:
        """Changes of state that nobody has looked at yet, and the last one's id.

        In a store that nobody has looked at before, what has happened so far is no news.
        """
        with self._read() as session:
            switch = session.get(Switch, _SEEN)
            if switch is None:
                return [], session.exec(select(func.max(Transition.id))).one() or 0
            after = int(switch.value)
            query = select(Transition, Job).where(col(Transition.id) > after, Transition.job_id == Job.id)
            found = session.exec(query.order_by(col(Transition.id)).limit(_AT_ONCE)).all()
            changes = [Change(change, job, job.attempt - _taken_after(session, change)) for change, job in found]
            return changes, found[-1][0].id or after if found else after

    def open(self) -> list[Delivery]:
        """What is still to be delivered, the oldest first."""
        with self._read() as session:
            return list(session.exec(_open().order_by(col(Delivery.id)).limit(_AT_ONCE)))

    def begin_try(self, delivery: Delivery) -> bool:
        """Count a try before it is made; False where another process has begun one meanwhile."""
        mine = (
            col(Delivery.id) == delivery.id,
            col(Delivery.tries) == delivery.tries,
            col(Delivery.settled).is_(False),
        )
        with self._write() as session:
            counted = session.exec(update(Delivery).where(*mine).values(tries=Delivery.tries + 1))
            return bool(counted.rowcount)

    def settle(self, delivery: Delivery, outcome: str) -> None:
        """It has been delivered, or never will be."""
        with self._write() as session:
            done = update(Delivery).where(col(Delivery.id) == delivery.id).values(settled=True, outcome=outcome)
            session.exec(done)
            old = (col(Delivery.id) <= (delivery.id or 0) - _REMEMBERED, col(Delivery.settled).is_(True))
            session.exec(delete(Delivery).where(*old))


def _taken_after(session: Session, change: Transition) -> int:
    """How many attempts have begun since."""
    later = (
        Transition.job_id == change.job_id,
        Transition.after == JobState.RUNNING,
        col(Transition.id) > change.id,
    )
    return session.exec(select(func.count()).select_from(Transition).where(*later)).one()


def _open() -> Any:
    return select(Delivery).where(col(Delivery.settled).is_(False))
