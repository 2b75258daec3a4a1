"""The store of jobs: the truth about experiments and jobs, for all threads, processes and hosts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import func
from sqlmodel import Session, col, delete, select

from gift_core.data_spec import TaskSource
from gift_core.errors import GiftError
from gift_core.spec import ExperimentSpec
from gift_core.tasks.registry import TASKS
from workers.attempts import PAUSED, Attempts, is_paused, progress_of
from workers.database import Database
from workers.experiments import DEFAULT, LaunchOptions, new_experiment, new_runs
from workers.keys import Claim, key_record
from workers.line import change_places, first_in_line, join_by_turns, place_before
from workers.metrics import MetricLine
from workers.moves import leave_queue, move, requeue
from workers.observations import add_points
from workers.records import (
    ENDED,
    Dataset,
    Experiment,
    Job,
    JobKind,
    JobState,
    StopMode,
    Switch,
    Transition,
)

_STOPS = {
    StopMode.SAVE: "stop requested",
    StopMode.DISCARD: "stop requested, nothing is kept",
    StopMode.RESTORE: "stop requested, what it had before is brought back",
}


class NotFoundError(GiftError):
    """There is nothing with that id."""

    code = "not_found"


class ConflictError(GiftError):
    """The request contradicts an earlier one, or the state of what it is about."""

    code = "conflict"


class JobStore(Attempts):
    """Experiments and jobs, as people handle them; what workers do with jobs is in the base class.

    Times are seconds since the epoch and are only shown: nothing is decided by comparing them.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database.read, database.write)
        self.database = database

    def close(self) -> None:
        self.database.close()

    # Experiments

    def create_experiment(
        self, spec: ExperimentSpec, claim: Claim | None, options: LaunchOptions = DEFAULT, by: str = ""
    ) -> tuple[Experiment, bool]:
        """Create an experiment and its queued runs, or return the one that the same request already made, with False.

        Raises `KeyConflictError` when the key of `claim` was used for another request.
        """
        with self._write() as session:
            key = key_record(session, claim) if claim else None
            existing = session.get(Experiment, key.made) if key and key.made else None
            if existing is not None:
                return existing, False
            number = session.exec(select(func.count()).select_from(Experiment)).one() + 1
            experiment = new_experiment(spec, _subject(session, spec), number, options, by)
            session.add(experiment)
            session.flush()
            _add_jobs(session, new_runs(experiment, spec, options), by, "launched")
            if key is not None:
                key.made = experiment.id
            return experiment, True

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
                progress = {**progress_of(found, run.latest), "phase": "", "eta_seconds": None}
                took = run.result["seconds"] if run.result else 0.0
                ended = {"state": JobState.FINISHED, "started": now - took, "ended": now, "attempt": 1, "seconds": took}
                run.sqlmodel_update(progress | ended)
                session.add(run)
                session.flush()
                session.add(Transition(job_id=run.id, after=run.state, cause="recorded"))
                add_points(session, run.id, run.attempt, found)

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

    def run(self, run_id: str) -> Job:
        """A job that trains. Raises `NotFoundError` for one that does something else."""
        job = self.job(run_id)
        if job.kind != JobKind.TRAIN:
            raise _not_found("run", run_id)
        return job

    # Jobs, as people handle them

    def add_job(self, job: Job, by: str = "", claim: Claim | None = None) -> tuple[Job, bool]:
        """Queue a job, or return the one that has its id, or that the same request already made, with False.

        Raises `KeyConflictError` when the key of `claim` was used for another request.
        """
        with self._write() as session:
            key = key_record(session, claim) if claim else None
            existing = session.get(Job, key.made if key and key.made else job.id)
            if existing is not None:
                return existing, False
            _add_jobs(session, [job], by, "asked for")
            if job.devices == 0:
                join_by_turns(session, job)
            if key is not None:
                key.made = job.id
            return job, True

    def request_stop(self, job_id: str, by: str, mode: StopMode = StopMode.SAVE) -> Job:
        """Take a job off the queue, ask a running one to stop, leave an ended one alone. Raises `NotFoundError`.

        A job that leaves the queue is what it was before it was queued, whatever the mode. One that is stopping already
        can still be told to save nothing, which takes less long.
        """
        with self._write() as session:
            job = _job(session, job_id)
            if job.state == JobState.QUEUED:
                cause = "taken off the queue" if job.attempt else "stopped before it started"
                leave_queue(session, job, by=by, cause=cause, mode=mode)
            elif job.state == JobState.RUNNING:
                move(session, job, JobState.STOPPING, by=by, cause=_STOPS[mode], stop_mode=mode)
            elif job.state == JobState.STOPPING and mode is not StopMode.SAVE and job.stop_mode != StopMode.RESTORE:
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
                requeue(session, job, by=by, cause=cause, fresh=fresh)
            return job

    def reorder(
        self,
        job_id: str,
        *,
        priority: int | None = None,
        before: str | None = None,
        first: bool = False,
        last: bool = False,
        among_own: bool = False,
    ) -> Job:
        """Give a queued job another priority, or the place before another queued one, whose priority it takes, or
        before or behind all others.

        `among_own`: the other one is the same person's, and only their jobs change places. Raises `NotFoundError`, and
        `ConflictError` where one of them does not wait any more, or one waits for a device and the other does not.
        """
        with self._write() as session:
            job = _waiting_job(session, job_id)
            if priority is not None:
                job.priority = priority
            if first:
                before = first_in_line(session, job, among_own=among_own).id
            if before is not None and before != job_id:
                other = _waiting_job(session, before)
                if not among_own:
                    place_before(session, job, other)
                elif (job.devices == 0) == (other.devices == 0):
                    change_places(session, job, other)
                else:
                    raise ConflictError(
                        f"{job.label} and {other.label} do not wait for the same thing.",
                        field="before",
                        remedy="Choose another job.",
                    )
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

    def remove(self, job_id: str, take_away: Callable[[], None] = lambda: None) -> None:
        """Forget an ended job; `take_away` is called before anybody can ask for one with its id again.

        Raises `NotFoundError`, and `ConflictError` for one that waits or runs or is pinned.
        """
        with self._write() as session:
            job = _job(session, job_id)
            if job.state not in ENDED or job.pinned:
                why = "pinned" if job.pinned else job.state
                raise ConflictError(f"It is {why}.", field="id", remedy="Stop or unpin it first.")
            take_away()
            session.exec(delete(Job).where(col(Job.id) == job_id))

    def set_paused(self, paused: bool, by: str) -> None:
        """While the queue is paused, no worker takes a job; those that run go on."""
        with self._write() as session:
            session.merge(Switch(name=PAUSED, value=str(paused), changed_by=by))

    @property
    def paused(self) -> bool:
        with self._read() as session:
            return is_paused(session)


def _add_jobs(session: Session, jobs: Sequence[Job], by: str, cause: str) -> None:
    session.add_all(jobs)
    session.flush()
    session.add_all(Transition(job_id=job.id, after=job.state, owner=by, cause=cause) for job in jobs)


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


def _subject(session: Session, spec: ExperimentSpec) -> str:
    """What an experiment's data is called: its task, or the name of its data set."""
    source = spec.run.data.source
    if isinstance(source, TaskSource):
        return TASKS[source.task].title
    dataset = session.get(Dataset, source.dataset)
    return dataset.name if dataset else source.dataset
