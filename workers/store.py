"""The store of jobs: the truth about experiments and jobs, for all threads, processes and hosts."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, delete, select

from gift_core.data_spec import TaskSource
from gift_core.errors import GiftError
from gift_core.spec import ExperimentSpec
from gift_core.tasks.registry import TASKS
from workers.database import Database
from workers.experiments import DEFAULT, LaunchOptions, new_experiment, new_runs
from workers.line import Reach, next_in_line, place_before
from workers.metrics import MetricLine
from workers.moves import finish, move, requeue
from workers.observations import Observations, add_points, forget_points_after
from workers.records import (
    ACTIVE,
    ENDED,
    Dataset,
    Experiment,
    Job,
    JobState,
    StopMode,
    Switch,
    Transition,
    Worker,
)

# A job whose worker was lost this often since a person last asked for it is not taken up by itself any more.
MOST_LOSSES = 3
_PAUSED = "paused"


class NotFoundError(GiftError):
    """There is nothing with that id."""

    code = "not_found"


class ConflictError(GiftError):
    """The request contradicts an earlier one, or the state of what it is about."""

    code = "conflict"


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


class JobStore(Observations):
    """Experiments, jobs and data sets; what was observed of jobs is in the base class.

    Times are seconds since the epoch and are only shown: nothing is decided by comparing them.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database.read)
        self.database = database
        self._write = database.write

    def close(self) -> None:
        self.database.close()

    # Experiments

    def create_experiment(
        self, spec: ExperimentSpec, key: str | None, options: LaunchOptions = DEFAULT, by: str = ""
    ) -> tuple[Experiment, bool]:
        """Create an experiment and its queued runs, or return the one that `key` already made, with False.

        Raises `ConflictError` when `key` made an experiment from a different spec.
        """
        try:
            with self._write() as session:
                experiment = new_experiment(spec, key, _subject(session, spec), options, by)
                session.add(experiment)
                session.flush()
                _add_jobs(session, new_runs(experiment, spec, options), by, "launched")
            return experiment, True
        except IntegrityError:
            existing = self.experiment_with_key(key) if key is not None else None
            if existing is None:
                raise
            if existing.request_fingerprint != spec.fingerprint():
                raise _key_conflict() from None
            return existing, False

    def add_finished(
        self, experiment: Experiment, runs: Sequence[Job], lines: Mapping[str, Sequence[MetricLine]]
    ) -> None:
        """Store an experiment that was carried out elsewhere, `lines` by run id; does nothing where it is already."""
        now = time.time()
        with self._write() as session:
            if session.get(Experiment, experiment.id) is not None:
                return
            session.add(experiment)
            session.flush()
            for run in runs:
                found = lines[run.id]
                progress = {**_progress(found, run.latest), "phase": "", "eta_seconds": None}
                took = run.result["seconds"] if run.result else 0.0
                ended = {"state": JobState.FINISHED, "started": now - took, "ended": now, "attempt": 1}
                run.sqlmodel_update(progress | ended)
                session.add(run)
                session.flush()
                session.add(Transition(job_id=run.id, after=run.state, cause="recorded"))
                add_points(session, run.id, run.attempt, found)

    def experiment_with_key(self, key: str) -> Experiment | None:
        with self._read() as session:
            return session.exec(select(Experiment).where(Experiment.idempotency_key == key)).first()

    def experiment(self, experiment_id: str) -> Experiment:
        """Raises `NotFoundError`."""
        with self._read() as session:
            experiment = session.get(Experiment, experiment_id)
        if experiment is None:
            raise _not_found("experiment", experiment_id)
        return experiment

    def job(self, job_id: str) -> Job:
        """Raises `NotFoundError`."""
        with self._read() as session:
            return _job(session, job_id)

    # Jobs, as people handle them

    def add_job(self, job: Job, by: str = "") -> tuple[Job, bool]:
        """Queue a job, or return the one that has its id or its idempotency key, with False.

        Raises `ConflictError` when the key made a different one.
        """
        with self._write() as session:
            existing = session.get(Job, job.id)
            if existing is None and job.idempotency_key is not None:
                same_key = select(Job).where(Job.idempotency_key == job.idempotency_key)
                existing = session.exec(same_key).first()
                if existing and (existing.kind, existing.spec) != (job.kind, job.spec):
                    raise _key_conflict()
            if existing is not None:
                return existing, False
            _add_jobs(session, [job], by, "asked for")
            return job, True

    def request_stop(self, job_id: str, by: str, mode: StopMode = StopMode.SAVE) -> Job:
        """Stop a queued job, ask a running one to stop, leave an ended one alone. Raises `NotFoundError`.

        One that is stopping already can still be told to save nothing, which takes less long.
        """
        with self._write() as session:
            job = _job(session, job_id)
            if job.state == JobState.QUEUED:
                cause = "stopped while it waited to go on" if job.attempt else "stopped before it started"
                move(session, job, JobState.STOPPED, by=by, cause=cause, ended=time.time(), stop_mode=mode)
            elif job.state == JobState.RUNNING:
                cause = "stop requested" if mode is StopMode.SAVE else "stop requested, nothing is kept"
                move(session, job, JobState.STOPPING, by=by, cause=cause, stop_mode=mode)
            elif job.state == JobState.STOPPING and mode is StopMode.DISCARD:
                job.stop_mode = mode
            return job

    def requeue(self, job_id: str, by: str, cause: str, *, fresh: bool = False) -> Job:
        """Queue a job again that has ended without finishing: it resumes, or begins anew if `fresh`.

        Leaves one alone that waits or runs. Raises `NotFoundError`, and `ConflictError` for a finished one.
        """
        with self._write() as session:
            job = _job(session, job_id)
            if job.state == JobState.FINISHED:
                raise ConflictError("It has finished.", field="id", remedy="Clone it, or continue it with more epochs.")
            if job.state in ENDED:
                requeue(session, job, by=by, cause=cause, fresh=fresh, losses=0)
            return job

    def reorder(
        self, job_id: str, *, priority: int | None = None, before: str | None = None, last: bool = False
    ) -> Job:
        """Give a queued job another priority, or the place before another queued one, whose priority it takes, or the
        one behind all others.

        Raises `NotFoundError`, and `ConflictError` where one of them does not wait any more.
        """
        with self._write() as session:
            job = _waiting_job(session, job_id)
            if priority is not None:
                job.priority = priority
            if before is not None and before != job_id:
                place_before(session, job, _waiting_job(session, before))
            if last:
                ends = select(func.min(Job.priority), func.max(Job.rank)).where(Job.state == JobState.QUEUED)
                job.priority, highest = session.exec(ends).one()
                job.rank = highest + 1
            return job

    def pin(self, job_id: str, pinned: bool) -> Job:
        """Protect a job's files from being removed, or not any more. Raises `NotFoundError`."""
        with self._write() as session:
            job = _job(session, job_id)
            job.pinned = pinned
            return job

    def remove(self, job_id: str) -> None:
        """Forget an ended job. Raises `NotFoundError`, and `ConflictError` for one that waits or runs or is pinned."""
        with self._write() as session:
            job = _job(session, job_id)
            if job.state not in ENDED or job.pinned:
                why = "pinned" if job.pinned else job.state
                raise ConflictError(f"It is {why}.", field="id", remedy="Stop or unpin it first.")
            session.exec(delete(Job).where(col(Job.id) == job_id))

    def set_paused(self, paused: bool, by: str) -> None:
        """While the queue is paused, no worker takes a job; those that run go on."""
        with self._write() as session:
            session.merge(Switch(name=_PAUSED, value=str(paused), changed_by=by))

    @property
    def paused(self) -> bool:
        with self._read() as session:
            return _is_paused(session)

    # Jobs, as workers handle them

    def claim(
        self,
        worker: str,
        host: str,
        choose: Callable[[Sequence[Job]], Job | None],
        place: Callable[[Job, Collection[str]], Sequence[str] | None] = lambda _, __: (),
        reach: Reach | None = None,
    ) -> Job | None:
        """Take the queued job that `choose` picks from those next in line; None when it picks none.

        `place` says on which devices, given those that jobs of this host have, whichever worker carries them out; the
        job stays in line where it says None. Jobs out of `reach` are not shown to `choose`.

        Its record comes back with the attempt counted; `fresh` says how to begin. Its `owner` is the worker's and the
        attempt's: whoever has it may write to this attempt, and to no other of the same worker.
        """
        with self._write() as session:
            if _is_paused(session):
                return None
            job = choose(next_in_line(session, reach))
            placed_on = None if job is None else place(job, _busy(session, host))
            if job is None or placed_on is None:
                return None
            attempt = job.attempt + 1
            taken: dict[str, Any] = {
                "owner": f"{worker}/{attempt}",
                "host": host,
                "attempt": attempt,
                "heartbeat": job.heartbeat + 1,
                "placed_on": ",".join(placed_on),
                "phase": "loading",
                "started": time.time(),
            }
            move(session, job, JobState.RUNNING, by=worker, cause="taken", **taken)
            return job

    def started(self, job_id: str, owner: str, process_id: int) -> bool:
        """Note the job's process; False when it is not `owner`'s any more."""
        with self._write() as session:
            return _update_owned(session, job_id, owner, process_id=process_id)

    def beat(self, job_id: str, owner: str, lines: Sequence[MetricLine] = ()) -> Orders | None:
        """A sign of life, with what the job has reported since the last one; None when it is not `owner`'s any more.

        Lines stored already are ignored. The first one of an attempt says from which step it goes on: what was
        reported after it before is forgotten, and will be reported again.
        """
        with self._write() as session:
            if not _update_owned(session, job_id, owner, heartbeat=Job.heartbeat + 1):
                return None
            job = _job(session, job_id)
            if lines:
                _take_report(session, job_id, job.attempt, lines)
                job.sqlmodel_update(_progress(lines, job.latest))
                job.fresh = False
            return Orders(JobState(job.state), StopMode(job.stop_mode) if job.stop_mode else None)

    def catch_up(self, job_id: str, owner: str, earlier: Sequence[tuple[int, Sequence[MetricLine]]]) -> None:
        """Store what earlier attempts had reported by themselves when their worker died, by number of the attempt."""
        with self._write() as session:
            if _update_owned(session, job_id, owner, heartbeat=Job.heartbeat + 1):
                for attempt, lines in earlier:
                    _take_report(session, job_id, attempt, lines)

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
            finish(session, job, state, by=owner, cause=cause, result=result, failure=failure)
            if state is JobState.FAILED:
                _stop_siblings(session, job)
            return True

    def hand_back(self, job_id: str, owner: str, cause: str, *, is_loss: bool = False) -> bool:
        """Interrupt a job that can go on elsewhere or later, and queue it again; False when it is not `owner`'s.

        A loss counts towards those after which it does not go on by itself any more.
        """
        with self._write() as session:
            job = session.get(Job, job_id)
            if job is None or job.owner != owner or job.state not in ACTIVE:
                return False
            job.losses += is_loss
            _interrupt(session, job, by=owner, cause=cause)
            return True

    def register(self, worker: Worker) -> None:
        """A sign of life of a worker itself, with what it computes on."""
        with self._write() as session:
            session.merge(worker)

    def leave(self, worker_id: str) -> None:
        """A worker ends."""
        with self._write() as session:
            session.exec(delete(Worker).where(col(Worker.id) == worker_id))

    def pulses(self) -> list[Pulse]:
        """The last sign of life of every job that some worker has."""
        query = select(Job.id, Job.attempt, Job.heartbeat).where(col(Job.state).in_(ACTIVE))
        with self._read() as session:
            return [Pulse(*row) for row in session.exec(query)]

    def lose(self, pulse: Pulse) -> Job | None:
        """Take a job away from a worker that has been silent since `pulse`; None when there was another sign of life.

        It is queued again, unless that happened too often, or it was to be stopped.
        """
        with self._write() as session:
            job = session.get(Job, pulse.job_id)
            seen = job and (job.attempt, job.heartbeat) == (pulse.attempt, pulse.heartbeat)
            if job is None or not seen or job.state not in ACTIVE:
                return None
            job.losses += 1
            _interrupt(session, job, by="reaper", cause="its worker was lost", failure=_LOST)
            return job


_LOST = {
    "code": "lost_worker",
    "message": "The worker that had this job disappeared.",
    "field": "",
    "remedy": "Resume it; if it happens again, check that the machine has enough memory.",
}


def _busy(session: Session, host: str) -> set[str]:
    """The devices of a host that some job has."""
    taken = session.exec(select(Job.placed_on).where(col(Job.state).in_(ACTIVE), Job.host == host))
    return {name for names in taken for name in names.split(",") if name}


def _is_paused(session: Session) -> bool:
    switch = session.get(Switch, _PAUSED)
    return switch is not None and switch.value == str(True)


def _add_jobs(session: Session, jobs: Sequence[Job], by: str, cause: str) -> None:
    session.add_all(jobs)
    session.flush()
    session.add_all(Transition(job_id=job.id, after=job.state, owner=by, cause=cause) for job in jobs)


def _interrupt(session: Session, job: Job, *, by: str, cause: str, **outcome: Any) -> None:
    """End an attempt from outside. The job is queued again unless it was to be stopped, or was lost too often."""
    goes_on = job.state == JobState.RUNNING and job.losses <= MOST_LOSSES
    finish(session, job, JobState.INTERRUPTED, by=by, cause=cause, **outcome)
    if goes_on:
        # One that was to begin anew and did not get that far still has to.
        requeue(session, job, by=by, cause="goes on by itself", fresh=job.fresh)


def _stop_siblings(session: Session, failed: Job) -> None:
    """Stop the runs that wait behind a failed one, where their experiment says so."""
    experiment = session.get(Experiment, failed.experiment_id) if failed.experiment_id else None
    if experiment is None or not experiment.stop_on_failure:
        return
    waiting = select(Job).where(Job.experiment_id == experiment.id, Job.state == JobState.QUEUED)
    for job in session.exec(waiting).all():
        move(session, job, JobState.STOPPED, by="studio", cause=f"{failed.label} failed", ended=time.time())


def _update_owned(session: Session, job_id: str, owner: str, **changes: Any) -> bool:
    """Change a job that `owner` has; False when it is not the owner's any more."""
    owned = (col(Job.id) == job_id, col(Job.owner) == owner, col(Job.state).in_(ACTIVE))
    return bool(session.exec(update(Job).where(*owned).values(**changes)).rowcount)


def _take_report(session: Session, job_id: str, attempt: int, lines: Sequence[MetricLine]) -> None:
    if lines and lines[0].number == 1:
        forget_points_after(session, job_id, attempt, lines[0].step)
    add_points(session, job_id, attempt, lines)


def _progress(lines: Sequence[MetricLine], latest: Mapping[str, Any]) -> dict[str, Any]:
    last = lines[-1]
    values = dict(latest)
    progress: dict[str, Any] = {"step": last.step, "phase": last.phase, "eta_seconds": last.eta_seconds}
    for line in lines:
        if line.total_steps is not None:
            progress["total_steps"] = line.total_steps
        values |= line.values
    return progress | {"latest": values}


def _waiting_job(session: Session, job_id: str) -> Job:
    job = _job(session, job_id)
    if job.state != JobState.QUEUED:
        raise ConflictError(f"{job.label} does not wait any more.", field="id", remedy="Look at the queue again.")
    return job


def _job(session: Session, job_id: str) -> Job:
    job = session.get(Job, job_id)
    if job is None:
        raise _not_found("job", job_id)
    return job


def _not_found(kind: str, identifier: str) -> NotFoundError:
    return NotFoundError(f"There is no {kind} {identifier!r}.", remedy="Check the link, or pick one from the list.")


def _key_conflict() -> ConflictError:
    return ConflictError(
        "This idempotency key was already used for a different request.",
        field="Idempotency-Key",
        remedy="Send a new key with a new request.",
    )


def _subject(session: Session, spec: ExperimentSpec) -> str:
    """What an experiment's data is called: its task, or the name of its data set."""
    source = spec.run.data.source
    if isinstance(source, TaskSource):
        return TASKS[source.task].title
    dataset = session.get(Dataset, source.dataset)
    return dataset.name if dataset else source.dataset
