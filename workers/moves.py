"""Changes of state: the only functions that make them."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col

from workers.lifecycle.snapshots import (
    PROGRESS,
    computed_seconds,
    from_step_zero,
    restore_points,
    return_point,
)
from workers.records import ACTIVE, TRANSITIONS, Job, JobState, StopMode, Transition

_NO_PROCESS = {"phase": "", "eta_seconds": None, "owner": None, "process_id": None}


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
    now = time.time()
    changes: dict[str, Any] = {"ended": now, "seconds": computed_seconds(job, now), "returns_to": None}
    is_set_aside = job.aside_attempt == job.attempt
    if job.stop_mode == StopMode.DISCARD and state in (JobState.FAILED, JobState.INTERRUPTED) and not is_set_aside:
        # It ended before it was discarded: what it has can be resumed.
        changes["stop_mode"] = None
    move(session, job, state, by=by, cause=cause, **_NO_PROCESS, **changes, **outcome)


def requeue(session: Session, job: Job, *, by: str, cause: str, fresh: bool = False, by_itself: bool = False) -> None:
    """Queue an ended job again. It remembers what it is, for when it leaves the queue."""
    again: dict[str, Any] = {"failure": None, "ended": None, "stop_mode": None, "files_removed": None, "fresh": fresh}
    again["returns_to"] = return_point(job, by_itself=by_itself)
    if not by_itself:
        again["losses"] = 0
    # What was removed or discarded cannot be resumed.
    if fresh or job.files_removed is not None or job.stop_mode == StopMode.DISCARD:
        again |= from_step_zero(job)
    move(session, job, JobState.QUEUED, by=by, cause=cause, **again)


def leave_queue(session: Session, job: Job, *, by: str, cause: str, mode: StopMode = StopMode.SAVE) -> None:
    """Make a queued job what it was before it was queued; one that was never begun is stopped. Nothing is lost."""
    before = job.returns_to or {"state": JobState.STOPPED, "ended": time.time(), "stop_mode": mode}
    restore_points(session, job, before.get("first_attempt", job.first_attempt), job.attempt)
    _become(session, job, before, by=by, cause=cause)


def bring_back(session: Session, job: Job, *, by: str, cause: str) -> None:
    """Make a job what it was before a discard or a new start set its attempts aside; their files are back by then.

    One that has a worker keeps it until `end_as_before`.
    """
    before, last = job.set_aside, job.aside_attempt
    if before is None or last is None:
        raise IllegalTransitionError(f"job {job.id}: nothing is set aside")
    restore_points(session, job, before["first_attempt"], last)
    before = before | {"aside_attempt": None, "set_aside": None}
    if job.state in ACTIVE:
        job.sqlmodel_update({name: before[name] for name in PROGRESS})
        job.sqlmodel_update({"aside_attempt": None, "set_aside": None, "returns_to": before})
        job.stop_mode = StopMode.RESTORE
    else:
        _become(session, job, before, by=by, cause=cause)


def end_as_before(session: Session, job: Job, *, by: str, cause: str) -> bool:
    """End an attempt whose job was brought back; False for any other."""
    if job.stop_mode != StopMode.RESTORE or job.aside_attempt is not None or job.returns_to is None:
        return False
    _become(session, job, job.returns_to, by=by, cause=cause)
    return True


def _become(session: Session, job: Job, before: dict[str, Any], *, by: str, cause: str) -> None:
    changes = {name: value for name, value in before.items() if name != "state"}
    changes |= {**_NO_PROCESS, "returns_to": None, "fresh": False}
    if before["state"] != job.state:
        move(session, job, JobState(before["state"]), by=by, cause=cause, **changes)
        return
    job.sqlmodel_update(changes)
    note(session, job, by=by, cause=cause)


def note(session: Session, job: Job, *, by: str, cause: str) -> None:
    """Write into a job's history what happened to it while its state stayed the same; watchers are told, too."""
    session.add(Transition(job_id=job.id, before=job.state, after=job.state, owner=by, cause=cause))
