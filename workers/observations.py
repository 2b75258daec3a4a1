"""What was seen of jobs: their metric points and changes of state, read by cursor, and lists of them, page by page."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, or_, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, delete, select

from workers.line import Reach, in_line, next_in_line
from workers.metrics import MetricLine
from workers.records import ACTIVE, ENDED, Experiment, Job, JobKind, JobState, MetricPoint, Transition, Worker


@dataclass(frozen=True)
class JobFilter:
    """Which jobs to list; what is left out does not narrow it. `text` is looked for in the label."""

    kind: JobKind | None = None
    states: frozenset[JobState] = frozenset()
    experiment: str | None = None
    created_by: str | None = None
    text: str | None = None


class Observations:
    """Reading only. Records come back detached: reading their fields needs no session."""

    def __init__(self, read: Callable[[], AbstractContextManager[Session]]) -> None:
        self._read = read

    def experiments(
        self,
        limit: int = 50,
        before: tuple[float, str] | None = None,
        *,
        created_by: str | None = None,
        text: str | None = None,
    ) -> list[Experiment]:
        """Newest first; `before` is `created` and `id` of the last one that the reader has. `text` is looked for in the
        name."""
        key = tuple_(col(Experiment.created), col(Experiment.id))
        query = select(Experiment).order_by(col(Experiment.created).desc(), col(Experiment.id).desc()).limit(limit)
        if before is not None:
            query = query.where(key < before)
        if created_by is not None:
            query = query.where(Experiment.created_by == created_by)
        if text:
            query = query.where(col(Experiment.name).icontains(text, autoescape=True))
        with self._read() as session:
            return list(session.exec(query))

    def jobs(
        self,
        wanted: JobFilter | None = None,
        *,
        limit: int | None = 200,
        after: tuple[float, int, str] | None = None,
    ) -> list[Job]:
        """Newest first, the runs of an experiment in their order; `after` is `created`, `position` and `id` of the last
        one that the reader has."""
        query = _narrowed(select(Job), wanted or JobFilter())
        if after is not None:
            created, *place = after
            same = and_(col(Job.created) == created, tuple_(col(Job.position), col(Job.id)) > tuple(place))
            # The first condition follows from the second, and is the one for which there is an index.
            query = query.where(col(Job.created) <= created, or_(col(Job.created) < created, same))
        query = query.order_by(col(Job.created).desc(), col(Job.position), col(Job.id)).limit(limit)
        with self._read() as session:
            return list(session.exec(query))

    def jobs_with(self, identities: Collection[str]) -> list[Job]:
        """Those with these ids that there are, in no order."""
        if not identities:
            return []
        with self._read() as session:
            return list(session.exec(select(Job).where(col(Job.id).in_(identities))))

    def runs(self, experiment_id: str) -> list[Job]:
        """Those of an experiment, in the order they are trained."""
        query = select(Job).where(Job.experiment_id == experiment_id).order_by(col(Job.position))
        with self._read() as session:
            return list(session.exec(query))

    def trained(self, limit: int | None = None) -> list[Job]:
        """Return ended runs whose weights are there: finished ones, and those that were stopped with their result kept,
        also if they have failed since. Newest first."""
        query = _trained().order_by(col(Job.created).desc(), col(Job.position), col(Job.id)).limit(limit)
        with self._read() as session:
            return list(session.exec(query))

    def trained_run(self, job_id: str) -> Job | None:
        """The run with that id, if it has left weights."""
        with self._read() as session:
            return session.exec(_trained().where(Job.id == job_id)).first()

    def active(self) -> list[Job]:
        """Those that some worker has, in no order."""
        with self._read() as session:
            return list(session.exec(select(Job).where(col(Job.state).in_(ACTIVE))))

    def with_aside(self) -> list[Job]:
        """Return the jobs that have an attempt set aside, in no order."""
        with self._read() as session:
            return list(session.exec(select(Job).where(col(Job.aside_attempt).is_not(None))))

    def next_in_line(self, reach: Reach | None = None) -> list[Job]:
        """The jobs that a worker may choose from, those whose turn is next."""
        with self._read() as session:
            return next_in_line(session, reach)

    def queued_by(self, account_id: str) -> int:
        """How many jobs of an account wait for their turn."""
        query = select(func.count()).select_from(Job).where(Job.state == JobState.QUEUED, Job.created_by == account_id)
        with self._read() as session:
            return session.exec(query).one()

    def waiting(self, limit: int | None = None) -> list[Job]:
        """The queued jobs, the one whose turn is next first."""
        with self._read() as session:
            return list(session.exec(in_line().limit(limit)))

    def workers(self) -> list[Worker]:
        """Those that have not ended, or were lost without a word."""
        with self._read() as session:
            return list(session.exec(select(Worker).order_by(col(Worker.started))))

    def metrics(self, job_ids: Sequence[str] | None, after: int, limit: int = 5000) -> list[MetricPoint]:
        """Points with a cursor above `after`, in its order; of all jobs when `job_ids` is None.

        Those of attempts that are set aside are left out.
        """
        newer = (col(MetricPoint.cursor) > after, col(MetricPoint.attempt) >= Job.first_attempt)
        query = select(MetricPoint).join(Job).where(*newer).order_by(col(MetricPoint.cursor))
        if job_ids is not None:
            query = query.where(col(MetricPoint.job_id).in_(job_ids))
        with self._read() as session:
            return list(session.exec(query.limit(limit)))

    def transitions(self, after: int = 0, job_id: str | None = None, limit: int | None = 1000) -> list[Transition]:
        """Changes of state with an id above `after`, in the order they happened."""
        query = select(Transition).where(col(Transition.id) > after).order_by(col(Transition.id))
        if job_id is not None:
            query = query.where(Transition.job_id == job_id)
        with self._read() as session:
            return list(session.exec(query.limit(limit)))

    def head(self) -> tuple[int, int]:
        """The newest metric cursor and the newest transition's id; 0 where there is none yet."""
        with self._read() as session:
            cursor = session.exec(select(func.max(MetricPoint.cursor))).one()
            transition = session.exec(select(func.max(Transition.id))).one()
        return cursor or 0, transition or 0


def _trained() -> Any:
    # As `workers.lifecycle.actions.has_weights` says of one job.
    there = (col(Job.result).is_not(None), col(Job.files_removed).is_(None))
    return select(Job).where(Job.kind == JobKind.TRAIN, col(Job.state).in_(ENDED), *there)


def add_points(session: Session, job_id: str, attempt: int, lines: Sequence[MetricLine]) -> None:
    """Store what the lines report; those stored already are ignored."""
    points = [
        {"job_id": job_id, "attempt": attempt, "line": line.number}
        | line.model_dump(include={"step", "time", "values"})
        for line in lines
        if line.values
    ]
    if points:
        dialect: Any = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
        session.connection().execute(dialect.insert(MetricPoint).on_conflict_do_nothing(), points)


def forget_points_after(session: Session, job_id: str, attempts: range, step: int) -> None:
    """Remove what these attempts reported after `step`, all of it if the next one begins anew."""
    earlier = (col(MetricPoint.job_id) == job_id, col(MetricPoint.attempt).between(attempts.start, attempts.stop - 1))
    later = (col(MetricPoint.step) > step,) if step else ()
    session.exec(delete(MetricPoint).where(*earlier, *later))


def _narrowed(query: Any, wanted: JobFilter) -> Any:
    for column, value in (
        (Job.kind, wanted.kind),
        (Job.experiment_id, wanted.experiment),
        (Job.created_by, wanted.created_by),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.states:
        query = query.where(col(Job.state).in_(wanted.states))
    if wanted.text:
        query = query.where(col(Job.label).icontains(wanted.text, autoescape=True))
    return query
