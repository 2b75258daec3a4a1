"""What a job's record was before it was queued again, started over or discarded."""

from __future__ import annotations

import time
from typing import Any

from sqlmodel import Session, col, delete, select

from workers.records import ACTIVE, Job, JobState, MetricPoint, StopMode

# What belongs to the attempts since the job last began at step 0.
PROGRESS = ("step", "total_steps", "saved_step", "latest", "result", "seconds", "first_attempt")
_END = ("state", "failure", "started", "ended", "stop_mode", "files_removed")
_ASIDE = ("aside_attempt", "set_aside")


def snapshot(job: Job) -> dict[str, Any]:
    """Return what the job is now, as `set_aside` holds it."""
    taken = {name: getattr(job, name) for name in (*PROGRESS, *_END)}
    return taken | {"seconds": computed_seconds(job)}


def return_point(job: Job, *, by_itself: bool) -> dict[str, Any]:
    """Return what the job is again when it leaves the queue: as it ended, or stopped if it was queued `by_itself`."""
    before = snapshot(job) | {name: getattr(job, name) for name in _ASIDE}
    if by_itself:
        before |= {"state": JobState.STOPPED, "failure": None, "ended": time.time(), "stop_mode": StopMode.SAVE}
    return before


def from_step_zero(job: Job) -> dict[str, Any]:
    """Return the changes that begin the job at step 0 with its next attempt, what it had set aside.

    An attempt that has left no checkpoint does not replace one that is set aside already.
    """
    changes: dict[str, Any] = {
        "step": 0,
        "total_steps": None,
        "saved_step": None,
        "latest": {},
        "result": None,
        "seconds": 0.0,
        "first_attempt": job.attempt + 1,
    }
    keeps_older = job.aside_attempt is not None and job.saved_step is None
    has_left = job.saved_step is not None or job.result is not None or job.step > 0
    if has_left and not keeps_older and job.files_removed is None:
        changes |= {"set_aside": snapshot(job), "aside_attempt": job.attempt}
    return changes


def computed_seconds(job: Job, now: float | None = None) -> float:
    """Return for how long the job has been computed since it last began at step 0, without the time in the queue."""
    running = (time.time() if now is None else now) - job.started if job.state in ACTIVE and job.started else 0.0
    return job.seconds + max(0.0, running)


def forget_aside(session: Session, job: Job) -> None:
    """Forget what is set aside, and the points that it had reported."""
    job.aside_attempt = job.set_aside = None
    session.exec(delete(MetricPoint).where(*_points_of(job.id), col(MetricPoint.attempt) < job.first_attempt))


def restore_points(session: Session, job: Job, first: int, last: int) -> None:
    """Show the points of the attempts `first` to `last` again, and forget those of later ones.

    They get new cursors: whoever follows the points has to be given them again.
    """
    session.exec(delete(MetricPoint).where(*_points_of(job.id), col(MetricPoint.attempt) > last))
    if first == job.first_attempt:
        return
    shown = (*_points_of(job.id), col(MetricPoint.attempt) >= first)
    points = session.exec(select(MetricPoint).where(*shown).order_by(col(MetricPoint.cursor))).all()
    copies = [point.model_dump(exclude={"cursor"}) for point in points]
    session.exec(delete(MetricPoint).where(*shown))
    session.flush()
    session.add_all(MetricPoint(**copy) for copy in copies)


def _points_of(job_id: str) -> tuple[Any, ...]:
    return (col(MetricPoint.job_id) == job_id,)
