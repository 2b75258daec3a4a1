"""Attempts at jobs: what workers do with those that wait, and how what they do is fenced."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, delete, select

from workers.lifecycle.snapshots import forget_aside, from_step_zero
from workers.line import Reach, next_in_line
from workers.metrics import MetricLine
from workers.moves import bring_back, end_as_before, finish, leave_queue, move, note, requeue
from workers.observations import Observations, add_points, forget_points_after
from workers.records import ACTIVE, ENDED, Experiment, Job, JobKind, JobState, StopMode, Switch, Worker

# A job whose worker was lost this often since a person last asked for it is not taken up by itself any more.
MOST_LOSSES = 3
# Their steps are answers, which stay; a checkpoint of a training is found on the disk.
_COUNTED_BY_ANSWERS = frozenset({JobKind.EVALUATE, JobKind.DENOISE})
# The switch that pauses the queue.
PAUSED = "paused"

_LOST = {
    "code": "lost_worker",
    "message": "The worker that had this job disappeared.",
    "field": "",
    "remedy": "Resume it; if it happens again, check that the machine has enough memory.",
}


@dataclass(frozen=True)
class Orders:
    """What its worker learns of a job with every heartbeat."""

    state: JobState
    stop_mode: StopMode | None


@dataclass(frozen=True)
class Pulse:
    """A sign of life of the worker that has a job."""

    job_id: str
    attempt: int
    heartbeat: int


class Attempts(Observations):
    """The part of the store that workers write to. Whoever was given an attempt may write to it, and nobody else."""

    def __init__(
        self,
        read: Callable[[], AbstractContextManager[Session]],
        write: Callable[[], AbstractContextManager[Session]],
    ) -> None:
        super().__init__(read)
        self._write = write

    def claim(
        self,
        worker: str,
        host: str,
        choose: Callable[[Sequence[Job], Collection[str]], Job | None],
        place: Callable[[Job, Collection[str]], Sequence[str]] = lambda _, __: (),
        reach: Reach | None = None,
    ) -> Job | None:
        """Take the queued job that `choose` picks from those next in line; None when it picks none.

        `place` says on which devices. Both are told which ones jobs of this host have, whichever worker carries them
        out. Jobs out of `reach` are not shown to `choose`.

        Its record comes back with the attempt counted; `fresh` says how to begin. Its `owner` is the worker's and the
        attempt's: whoever has it may write to this attempt, and to no other of the same worker.
        """
        with self._write() as session:
            if is_paused(session):
                return None
            busy = _busy(session, host)
            job = choose(next_in_line(session, reach), busy)
            if job is None:
                return None
            attempt = job.attempt + 1
            taken: dict[str, Any] = {
                "owner": f"{worker}/{attempt}",
                "host": host,
                "attempt": attempt,
                "heartbeat": job.heartbeat + 1,
                "placed_on": ",".join(place(job, busy)),
                "phase": "loading",
                "started": time.time(),
            }
            move(session, job, JobState.RUNNING, by=worker, cause="taken", **taken)
            return job

    def started(self, job_id: str, owner: str, process_id: int) -> bool:
        """Note the job's process; False when it is not `owner`'s any more."""
        with self._write() as session:
            return _update_owned(session, job_id, owner, process_id=process_id)

    @contextmanager
    def held(self, job_id: str, owner: str) -> Iterator[bool]:
        """Whether a job is `owner`'s; nobody can take it away before the block ends, which has to be short."""
        with self._write() as session:
            yield _update_owned(session, job_id, owner, heartbeat=Job.heartbeat + 1)

    def beat(self, job_id: str, owner: str, lines: Sequence[MetricLine] = ()) -> Orders | None:
        """A sign of life, with what the job has reported since the last one; None when it is not `owner`'s any more.

        Lines stored already are ignored. The first one of an attempt says from which step it goes on: what was
        reported after it before is forgotten, and will be reported again.
        """
        with self._write() as session:
            if not _update_owned(session, job_id, owner, heartbeat=Job.heartbeat + 1):
                return None
            job = session.get_one(Job, job_id)
            if lines:
                _take_report(session, job, job.attempt, lines)
                job.sqlmodel_update(progress_of(lines, job.latest))
                job.fresh = False
                if job.kind in _COUNTED_BY_ANSWERS:
                    job.saved_step = job.step or None
            return Orders(JobState(job.state), StopMode(job.stop_mode) if job.stop_mode else None)

    def catch_up(self, job_id: str, owner: str, earlier: Sequence[tuple[int, Sequence[MetricLine]]]) -> None:
        """Store what earlier attempts had reported by themselves when their worker died, by number of the attempt."""
        with self._write() as session:
            if _update_owned(session, job_id, owner, heartbeat=Job.heartbeat + 1):
                job = session.get_one(Job, job_id)
                for attempt, lines in earlier:
                    _take_report(session, job, attempt, lines)

    def saved(self, job_id: str, owner: str, step: int | None) -> bool:
        """Note the step of the job's last checkpoint; False if it is not `owner`'s any more."""
        with self._write() as session:
            return _update_owned(session, job_id, owner, saved_step=step)

    def discard(self, job_id: str, owner: str, take: Callable[[Job], None], *, forget: bool = False) -> bool:
        """Have the job begin at step 0 with its next attempt; False if it is not `owner`'s any more.

        `take` is given the job as it was, and sets its files aside, or removes them for good if it is to `forget` them.
        """
        with self._write() as session:
            if not _update_owned(session, job_id, owner, heartbeat=Job.heartbeat + 1):
                return False
            job = session.get_one(Job, job_id)
            take(job)
            begun = from_step_zero(job)
            if not forget:
                begun["set_aside"] |= {"state": JobState.STOPPED, "ended": time.time(), "stop_mode": StopMode.SAVE}
            job.sqlmodel_update(begun)
            if forget:
                forget_aside(session, job)
            return True

    def bring_back(
        self, job_id: str, by: str, cause: str, put_back: Callable[[int, int], None], *, owner: str | None = None
    ) -> Job | None:
        """Make a job what it was before its earlier attempts were set aside; None if nothing is set aside.

        `put_back` brings the files of the attempts between two numbers back. An active job is given back by its `owner`
        alone.
        """
        with self._write() as session:
            job = session.get(Job, job_id)
            if job is None or job.aside_attempt is None or job.set_aside is None:
                return None
            if job.state in ACTIVE and (owner is None or job.owner != owner):
                return None
            put_back(job.set_aside["first_attempt"], job.aside_attempt)
            bring_back(session, job, by=by, cause=cause)
            return job

    def drop_aside(self, job_id: str, attempt: int, owner: str | None = None) -> bool:
        """Forget what a job has set aside; False if it is not that any more, or is to be brought back.

        Of an active job only its `owner` does. Its files are removed by the caller, afterwards.
        """
        with self._write() as session:
            job = session.get(Job, job_id)
            if job is None or job.aside_attempt != attempt or job.state == JobState.QUEUED:
                return False
            if job.state in ACTIVE and (owner is None or job.owner != owner or job.stop_mode == StopMode.RESTORE):
                return False
            forget_aside(session, job)
            if job.state in ENDED:
                note(session, job, by="studio", cause="what was set aside was removed")
            return True

    def end(
        self,
        job_id: str,
        owner: str,
        state: JobState,
        cause: str,
        result: dict[str, Any] | None = None,
        failure: dict[str, Any] | None = None,
    ) -> bool:
        """Give a job its final state; False when it is not `owner`'s any more."""
        with self._write() as session:
            job = session.get(Job, job_id)
            if job is None or job.owner != owner or job.state in ENDED or job.state == JobState.QUEUED:
                return False
            if end_as_before(session, job, by=owner, cause=cause):
                return True
            # What it left when it was stopped before is still there where this attempt has left nothing.
            left = {"result": result} if result is not None or state is JobState.FINISHED else {}
            finish(session, job, state, by=owner, cause=cause, failure=failure, **left)
            if state is JobState.FINISHED:
                job.saved_step = None
                forget_aside(session, job)
            if state is JobState.FAILED:
                _stop_siblings(session, job)
            return True

    def hand_back(
        self, job_id: str, owner: str, cause: str, *, is_loss: bool = False, failure: dict[str, Any] | None = None
    ) -> bool:
        """Interrupt a job that can go on elsewhere or later, and queue it again; False when it is not `owner`'s.

        A loss counts towards those after which it does not go on by itself any more: then it has `failure`.
        """
        with self._write() as session:
            job = session.get(Job, job_id)
            if job is None or job.owner != owner or job.state not in ACTIVE:
                return False
            job.losses += is_loss
            _interrupt(session, job, by=owner, cause=cause, failure=failure)
            return True

    def register(self, worker: Worker) -> None:
        """A sign of life of a worker itself, with what it computes on."""
        with self._write() as session:
            session.merge(worker)

    def leave(self, worker_id: str) -> None:
        """A worker ends."""
        with self._write() as session:
            session.exec(delete(Worker).where(col(Worker.id) == worker_id))

    def busy_devices(self, host: str) -> set[str]:
        """Those that some job has."""
        with self._read() as session:
            return _busy(session, host)

    def pulses(self) -> list[Pulse]:
        """The last sign of life of every job that some worker has."""
        query = select(Job.id, Job.attempt, Job.heartbeat).where(col(Job.state).in_(ACTIVE))
        with self._read() as session:
            return [Pulse(*row) for row in session.exec(query)]

    def lose(self, pulse: Pulse, may_still: Callable[[], bool] = lambda: True) -> Job | None:
        """Take a job away from a worker that has been silent since `pulse`; None when there was another sign of life.

        It is queued again, unless that happened too often, or it was to be stopped. `may_still` is asked as soon as
        nobody else can write: while the store took no writes, no worker could give a sign of life.
        """
        with self._write() as session:
            job = session.get(Job, pulse.job_id) if may_still() else None
            seen = job and (job.attempt, job.heartbeat) == (pulse.attempt, pulse.heartbeat)
            if job is None or not seen or job.state not in ACTIVE:
                return None
            job.losses += 1
            _interrupt(session, job, by="reaper", cause="its worker was lost", failure=_LOST)
            return job


def is_paused(session: Session) -> bool:
    switch = session.get(Switch, PAUSED)
    return switch is not None and switch.value == str(True)


def progress_of(lines: Sequence[MetricLine], latest: Mapping[str, Any]) -> dict[str, Any]:
    last = lines[-1]
    values = dict(latest)
    progress: dict[str, Any] = {"step": last.step, "phase": last.phase, "eta_seconds": last.eta_seconds}
    for line in lines:
        if line.total_steps is not None:
            progress["total_steps"] = line.total_steps
        values |= line.values
    return progress | {"latest": values}


def _busy(session: Session, host: str) -> set[str]:
    """The devices of a host that some job has."""
    taken = session.exec(select(Job.placed_on).where(col(Job.state).in_(ACTIVE), Job.host == host))
    return {name for names in taken for name in names.split(",") if name}


def _interrupt(session: Session, job: Job, *, by: str, cause: str, **outcome: Any) -> None:
    """End an attempt from outside. The job is queued again unless it was to be stopped, or was lost too often."""
    goes_on = job.state == JobState.RUNNING and job.losses <= MOST_LOSSES
    finish(session, job, JobState.INTERRUPTED, by=by, cause=cause, **outcome)
    if goes_on:
        # One that was to begin anew and did not get that far still has to.
        requeue(session, job, by=by, cause="goes on by itself", fresh=job.fresh, by_itself=True)


def _stop_siblings(session: Session, failed: Job) -> None:
    """Stop the runs that wait behind a failed one, where their experiment says so."""
    experiment = session.get(Experiment, failed.experiment_id) if failed.experiment_id else None
    if experiment is None or not experiment.stop_on_failure:
        return
    waiting = select(Job).where(Job.experiment_id == experiment.id, Job.state == JobState.QUEUED)
    for job in session.exec(waiting).all():
        leave_queue(session, job, by="studio", cause=f"{failed.label} failed")


def _update_owned(session: Session, job_id: str, owner: str, **changes: Any) -> bool:
    """Change a job that `owner` has; False when it is not the owner's any more."""
    owned = (col(Job.id) == job_id, col(Job.owner) == owner, col(Job.state).in_(ACTIVE))
    return bool(session.exec(update(Job).where(*owned).values(**changes)).rowcount)


def _take_report(session: Session, job: Job, attempt: int, lines: Sequence[MetricLine]) -> None:
    if lines and lines[0].number == 1:
        forget_points_after(session, job.id, range(job.first_attempt, attempt), lines[0].step)
    add_points(session, job.id, attempt, lines)
