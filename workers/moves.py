"""Changes of state: the only functions that make them."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col

from workers.records import TRANSITIONS, Job, JobState, Transition


class IllegalTransitionError(RuntimeError):
    """The program tried to move a job along an edge that `TRANSITIONS` does not have."""


def move(session: Session, job: Job, after: JobState, *, by: str, cause: str = "", **changes: Any) -> None:
    """The only way a job changes state. Raises `IllegalTransitionError`; then nothing is changed."""
    before = JobState(job.state)
    session.flush()
    statement = update(Job).where(col(Job.id) == job.id, col(Job.state) == before).values(state=after, **changes)
    if after not in TRANSITIONS[before] or session.exec(statement).rowcount != 1:
        raise IllegalTransitionError(f"job {job.id}: {before} -> {after}")
    session.add(Transition(job_id=job.id, before=before, after=after, owner=by, cause=cause))
    session.refresh(job)


def finish(session: Session, job: Job, state: JobState, *, by: str, cause: str, **outcome: Any) -> None:
    cleared = {"phase": "", "eta_seconds": None, "owner": None, "process_id": None}
    move(session, job, state, by=by, cause=cause, ended=time.time(), **cleared, **outcome)


def requeue(session: Session, job: Job, *, by: str, cause: str, fresh: bool = False, losses: int | None = None) -> None:
    again: dict[str, Any] = {"result": None, "failure": None, "ended": None, "stop_mode": None}
    again["files_removed"] = None
    again["fresh"] = fresh
    if losses is not None:
        again["losses"] = losses
    move(session, job, JobState.QUEUED, by=by, cause=cause, **again)
