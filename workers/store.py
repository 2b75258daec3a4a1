"""The run store: SQLite is the truth about experiments and runs, for all threads and processes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from gift_core.errors import GiftError
from gift_core.spec import ExperimentSpec, TaskSource
from gift_core.tasks.registry import TASKS
from workers.database import Database
from workers.experiments import new_experiment, new_runs
from workers.metrics import MetricLine
from workers.records import ENDED, TRANSITIONS, Dataset, Experiment, MetricPoint, Run, RunState, Transition

_ACTIVE = (RunState.RUNNING, RunState.STOPPING)


class NotFoundError(GiftError):
    """There is no experiment or run with that id."""

    code = "not_found"


class ConflictError(GiftError):
    """The request contradicts an earlier one."""

    code = "conflict"


class IllegalTransitionError(RuntimeError):
    """The program tried to move a run along an edge that `TRANSITIONS` does not have."""


class RunStore:
    """Experiments, runs, metric points, transitions and data sets.

    Records come back detached: reading their fields needs no session, and changing them changes nothing here.
    Times are seconds since the epoch.
    """

    def __init__(self, database: Database) -> None:
        self._read = database.read
        self._write = database.write
        self.close = database.close

    # Experiments

    def create_experiment(self, spec: ExperimentSpec, key: str | None, created_by: str = "") -> tuple[Experiment, bool]:
        """Create an experiment and its queued runs, or return the one that `key` already made, with False.

        Raises `ConflictError` when `key` made an experiment from a different spec.
        """
        try:
            with self._write() as session:
                experiment = new_experiment(spec, key, _subject(session, spec), created_by)
                session.add(experiment)
                session.flush()
                runs = new_runs(experiment, spec)
                session.add_all(runs)
                session.flush()
                launched = (Transition(run_id=run.id, after=run.state, cause="launched") for run in runs)
                session.add_all(launched)
            return experiment, True
        except IntegrityError:
            existing = self.experiment_with_key(key) if key is not None else None
            if existing is None:
                raise
            if existing.request_fingerprint != spec.fingerprint():
                raise ConflictError(
                    "This idempotency key was already used for a different experiment.",
                    field="Idempotency-Key",
                    remedy="Send a new key with a new experiment.",
                ) from None
            return existing, False

    def add_finished(
        self, experiment: Experiment, runs: Sequence[Run], lines: Mapping[str, Sequence[MetricLine]]
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
                progress = {**_progress(found), "phase": "", "eta_seconds": None}
                took = run.result["seconds"] if run.result else 0.0
                run.sqlmodel_update(progress | {"state": RunState.FINISHED, "started": now - took, "ended": now})
                session.add(run)
                session.flush()
                session.add(Transition(run_id=run.id, after=run.state, cause="recorded"))
                session.connection().execute(insert(MetricPoint), _points(run.id, found))

    def experiment_with_key(self, key: str) -> Experiment | None:
        with self._read() as session:
            return session.exec(select(Experiment).where(Experiment.idempotency_key == key)).first()

    def experiments(self, limit: int = 50, before: float | None = None) -> list[Experiment]:
        """Newest first; `before` is the `created` of the last one that the reader has."""
        query = select(Experiment).order_by(col(Experiment.created).desc()).limit(limit)
        if before is not None:
            query = query.where(Experiment.created < before)
        with self._read() as session:
            return list(session.exec(query))

    def experiment(self, experiment_id: str) -> Experiment:
        """Raises `NotFoundError`."""
        with self._read() as session:
            experiment = session.get(Experiment, experiment_id)
        if experiment is None:
            raise _not_found("experiment", experiment_id)
        return experiment

    # Runs

    def runs(self, experiment_id: str | None = None, state: str | None = None, limit: int | None = 200) -> list[Run]:
        """Newest experiment first; within one, in the order they are trained."""
        query = select(Run).order_by(col(Run.created).desc(), col(Run.position)).limit(limit)
        if experiment_id is not None:
            query = query.where(Run.experiment_id == experiment_id)
        if state is not None:
            query = query.where(Run.state == state)
        with self._read() as session:
            return list(session.exec(query))

    def queued_by(self, account_id: str) -> int:
        """How many runs of an account's experiments wait for their turn."""
        query = (
            select(func.count())
            .select_from(Run)
            .join(Experiment, col(Run.experiment_id) == col(Experiment.id))
            .where(Run.state == RunState.QUEUED, Experiment.created_by == account_id)
        )
        with self._read() as session:
            return session.exec(query).one()

    def waiting(self) -> list[Run]:
        """The queued runs, the one whose turn is next first."""
        query = select(Run).where(Run.state == RunState.QUEUED).order_by(col(Run.created), col(Run.position))
        with self._read() as session:
            return list(session.exec(query))

    def run(self, run_id: str) -> Run:
        """Raises `NotFoundError`."""
        with self._read() as session:
            return _run(session, run_id)

    def claim(self, run_id: str, owner: str, lease_seconds: float) -> Run | None:
        """Take a queued run; None when there is no such run or it is not queued any more."""
        with self._write() as session:
            run = session.get(Run, run_id)
            if run is None or run.state != RunState.QUEUED:
                return None
            now = time.time()
            taken: dict[str, Any] = {
                "owner": owner,
                "phase": "loading",
                "started": now,
                "lease_until": now + lease_seconds,
            }
            _move(session, run, RunState.RUNNING, by=owner, **taken)
            return run

    def started(self, run_id: str, owner: str, process_id: int) -> bool:
        """Note the training process; False when the lease is lost."""
        with self._write() as session:
            return _update_owned(session, run_id, owner, process_id=process_id)

    def renew(self, run_id: str, owner: str, lease_seconds: float) -> RunState | None:
        """Extend the lease and learn whether a stop was asked for; None when the lease is lost."""
        with self._write() as session:
            owned = _update_owned(session, run_id, owner, lease_until=time.time() + lease_seconds)
            return RunState(_run(session, run_id).state) if owned else None

    def record(self, run_id: str, owner: str, lines: Sequence[MetricLine]) -> bool:
        """Store metric lines and the progress they report; lines stored already are ignored.

        False, and nothing stored, when the lease is lost.
        """
        if not lines:
            return True
        points = _points(run_id, lines)
        with self._write() as session:
            if not _update_owned(session, run_id, owner, **_progress(lines)):
                return False
            if points:
                session.connection().execute(insert(MetricPoint).on_conflict_do_nothing(), points)
            return True

    def request_stop(self, run_id: str, by: str) -> Run:
        """Stop a queued run, ask a running one to stop, leave an ended one alone. Raises `NotFoundError`."""
        with self._write() as session:
            run = _run(session, run_id)
            if run.state == RunState.QUEUED:
                _move(
                    session,
                    run,
                    RunState.STOPPED,
                    by=by,
                    cause="stopped before it started",
                    ended=time.time(),
                )
            elif run.state == RunState.RUNNING:
                _move(session, run, RunState.STOPPING, by=by, cause="stop requested")
            return run

    def end(
        self,
        run_id: str,
        owner: str,
        state: RunState,
        cause: str,
        result: dict[str, Any] | None = None,
        failure: dict[str, Any] | None = None,
    ) -> bool:
        """Give a run its final state; False when it is not `owner`'s any more."""
        with self._write() as session:
            run = session.get(Run, run_id)
            if run is None or run.owner != owner or run.state in ENDED:
                return False
            _finish(session, run, state, by=owner, cause=cause, result=result, failure=failure)
            return True

    def expire_leases(self, now: float) -> list[Run]:
        """Mark the runs whose worker has gone silent as interrupted, and return them."""
        query = select(Run).where(col(Run.state).in_(_ACTIVE), col(Run.lease_until) < now)
        failure = {
            "code": "lost_worker",
            "message": "The worker that trained this run disappeared.",
            "field": "",
            "remedy": "Launch it again; if it happens again, check that the machine has enough memory.",
        }
        with self._write() as session:
            runs = list(session.exec(query))
            for run in runs:
                _finish(
                    session,
                    run,
                    RunState.INTERRUPTED,
                    by="reaper",
                    cause="its lease ran out",
                    failure=failure,
                )
            return runs

    # What was observed

    def metrics(self, run_ids: Sequence[str] | None, after: int, limit: int = 5000) -> list[MetricPoint]:
        """Points with a cursor above `after`, in its order; of all runs when `run_ids` is None."""
        query = select(MetricPoint).where(col(MetricPoint.cursor) > after).order_by(col(MetricPoint.cursor))
        if run_ids is not None:
            query = query.where(col(MetricPoint.run_id).in_(run_ids))
        with self._read() as session:
            return list(session.exec(query.limit(limit)))

    def transitions(self, after: int = 0, run_id: str | None = None, limit: int = 1000) -> list[Transition]:
        """Changes of state with an id above `after`, in the order they happened."""
        query = select(Transition).where(col(Transition.id) > after).order_by(col(Transition.id))
        if run_id is not None:
            query = query.where(Transition.run_id == run_id)
        with self._read() as session:
            return list(session.exec(query.limit(limit)))

    def head(self) -> tuple[int, int]:
        """The newest metric cursor and the newest transition's id; 0 where there is none yet."""
        with self._read() as session:
            cursor = session.exec(select(func.max(MetricPoint.cursor))).one()
            transition = session.exec(select(func.max(Transition.id))).one()
        return cursor or 0, transition or 0

    # Data sets

    def add_dataset(self, dataset: Dataset) -> Dataset:
        """Store a data set, or return the one that has its id already."""
        with self._write() as session:
            existing = session.get(Dataset, dataset.id)
            if existing is None:
                session.add(dataset)
            return existing or dataset

    def dataset(self, dataset_id: str) -> Dataset | None:
        with self._read() as session:
            return session.get(Dataset, dataset_id)

    def datasets(self) -> list[Dataset]:
        """Newest first."""
        with self._read() as session:
            return list(session.exec(select(Dataset).order_by(col(Dataset.created).desc())))


def _move(session: Session, run: Run, after: RunState, *, by: str, cause: str = "", **changes: Any) -> None:
    """The only way a run changes state. Raises `IllegalTransitionError`; then nothing is changed."""
    before = RunState(run.state)
    statement = update(Run).where(col(Run.id) == run.id, col(Run.state) == before).values(state=after, **changes)
    if after not in TRANSITIONS[before] or session.exec(statement).rowcount != 1:
        raise IllegalTransitionError(f"run {run.id}: {before} -> {after}")
    session.add(Transition(run_id=run.id, before=before, after=after, owner=by, cause=cause))
    session.refresh(run)


def _finish(session: Session, run: Run, state: RunState, *, by: str, cause: str, **outcome: Any) -> None:
    now = time.time()
    cleared = {"phase": "", "eta_seconds": None, "lease_until": None, "process_id": None}
    _move(session, run, state, by=by, cause=cause, ended=now, **cleared, **outcome)


def _update_owned(session: Session, run_id: str, owner: str, **changes: Any) -> bool:
    """Change a run that `owner` is training; False when it is not the owner's any more."""
    owned = (col(Run.id) == run_id, col(Run.owner) == owner, col(Run.state).in_(_ACTIVE))
    return bool(session.exec(update(Run).where(*owned).values(**changes)).rowcount)


def _progress(lines: Sequence[MetricLine]) -> dict[str, Any]:
    latest = lines[-1]
    progress: dict[str, Any] = {"step": latest.step, "phase": latest.phase, "eta_seconds": latest.eta_seconds}
    for line in lines:
        if line.total_steps is not None:
            progress["total_steps"] = line.total_steps
        if "tokens_per_second" in line.values:
            progress["tokens_per_second"] = line.values["tokens_per_second"]
    return progress


def _points(run_id: str, lines: Sequence[MetricLine]) -> list[dict[str, Any]]:
    return [
        {"run_id": run_id, "line": line.number, **line.model_dump(include={"step", "time", "values"})}
        for line in lines
        if line.values
    ]


def _run(session: Session, run_id: str) -> Run:
    run = session.get(Run, run_id)
    if run is None:
        raise _not_found("run", run_id)
    return run


def _not_found(kind: str, identifier: str) -> NotFoundError:
    return NotFoundError(f"There is no {kind} {identifier!r}.", remedy="Check the link, or pick one from the list.")


def _subject(session: Session, spec: ExperimentSpec) -> str:
    """What an experiment's data is called: its task, or the name of its data set."""
    source = spec.run.data.source
    if isinstance(source, TaskSource):
        return TASKS[source.task].title
    dataset = session.get(Dataset, source.dataset)
    return dataset.name if dataset else source.dataset
