"""What is new in the store since somebody looked, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import Self

from pydantic import BaseModel

from api.job_views import JobNews, LineView
from api.schemas import MetricPointView, RunMetrics, RunView
from api.topics import Topics
from workers.observations import JobFilter
from workers.records import ACTIVE, Job, JobKind, MetricPoint
from workers.store import JobStore

PAGE = 500
# Of those that wait, as many as a page shows.
LINE = 200


@dataclass(frozen=True)
class Position:
    """What a watcher has: metric points up to cursor `metric`, changes of state up to `transition`."""

    metric: int = 0
    transition: int = 0

    @classmethod
    def parse(cls, event_id: str) -> Self:
        metric, transition = event_id.split(".")
        return cls(int(metric), int(transition))

    def __str__(self) -> str:
        return f"{self.metric}.{self.transition}"

    def or_later(self, other: Position) -> Position:
        return Position(max(self.metric, other.metric), max(self.transition, other.transition))


@dataclass(frozen=True)
class Told:
    """One event. Whoever has had it, and all before it, is at `position`."""

    event: str
    position: Position
    data: BaseModel
    job: str = ""
    experiment: str | None = None

    @cached_property
    def text(self) -> str:
        """Its data as JSON, written once however many hear of it."""
        return self.data.model_dump_json()

    def concerns(self, topics: Topics) -> bool:
        match self.event:
            case "queue":
                return topics.queue
            case "run":
                return self.experiment in topics.experiments
            case "job":
                return topics.queue or self.job in topics.jobs
        return self.experiment in topics.experiments or self.job in topics.jobs

    def after(self, position: Position) -> Told | None:
        """Without the points that someone at `position` has; how things are may be said again."""
        if not isinstance(self.data, RunMetrics) or self.data.points[0].cursor > position.metric:
            return self
        points = [point for point in self.data.points if point.cursor > position.metric]
        if not points:
            return None
        return replace(self, data=RunMetrics(run_id=self.data.run_id, points=points))


@dataclass(frozen=True)
class News:
    """Changes of state as (id, job id), points in cursor order, and how the jobs of both are now.

    `jobs` may also have some of which only the phase or the progress changed. `seen` is where one is after these.
    `line` is the queue where it is another than before.
    """

    seen: Position
    jobs: Mapping[str, Job] = field(default_factory=dict)
    transitions: Sequence[tuple[int, str]] = ()
    points: Sequence[MetricPointView] = ()
    line: LineView | None = None

    def __bool__(self) -> bool:
        return bool(self.jobs or self.points or self.line)

    def told(self, position: Position) -> Iterator[Told]:
        """To someone at `position`: jobs as they are now, then their points, and the queue.

        Each event's position covers exactly what has been told up to it, so a stream may break off anywhere and go on
        without losing or repeating a point. So points are grouped only while their cursors follow on.
        """
        latest = {job_id: change for change, job_id in self.transitions}
        for job_id in sorted(self.jobs, key=lambda job_id: latest.get(job_id, 0)):
            job = self.jobs[job_id]
            position = replace(position, transition=max(position.transition, latest.get(job_id, 0)))
            if job.kind == JobKind.TRAIN:
                yield Told("run", position, RunView.from_record(job), job_id, job.experiment_id)
            yield Told("job", position, JobNews.from_record(job), job_id, job.experiment_id)
        for job_id, group in groupby(self.points, key=lambda point: point.run_id):
            points = list(group)
            position = replace(position, metric=points[-1].cursor)
            metrics = RunMetrics(run_id=job_id, points=points)
            owner = self.jobs.get(job_id)
            yield Told("metrics", position, metrics, job_id, owner.experiment_id if owner else None)
        if self.line is not None:
            yield Told("queue", position, self.line)


def news_of_all(store: JobStore, after: Position) -> News:
    """Up to a page of what is newer than `after`, of all jobs."""
    # Changes of state first and points second: the points that precede a change are then never behind it.
    transitions = [(change.id or 0, change.job_id) for change in store.transitions(after=after.transition, limit=PAGE)]
    points = store.metrics(None, after=after.metric, limit=PAGE)
    touched = {job_id for _, job_id in transitions} | {point.job_id for point in points}
    return News(
        after.or_later(Position(_last(points), transitions[-1][0] if transitions else 0)),
        {job.id: job for job in store.jobs_with(touched)},
        transitions,
        [MetricPointView.of_point(point) for point in points],
    )


def news_about(store: JobStore, topics: Topics, after: Position, *, since: int, greet: bool) -> News:
    """The same of what `topics` are about, read for one watcher.

    The queue is told of from transition `since` on. To `greet` is to say how everything is, whether new or not.
    """
    _, newest = store.head()
    jobs = {job.id: job for identity in topics.experiments for job in store.runs(identity)}
    jobs |= {job.id: job for job in store.jobs_with(topics.jobs)}
    points = store.metrics(list(jobs), after=after.metric, limit=PAGE) if jobs else []
    changed = newest > after.transition
    if not (changed or greet):
        logged = {point.job_id for point in points}
        jobs = {job_id: job for job_id, job in jobs.items() if job_id in logged}
    moved: list[tuple[int, str]] = []
    if topics.queue and changed:
        changes = store.transitions(after=max(after.transition, since), limit=PAGE)
        moved = [(change.id or 0, change.job_id) for change in changes]
        jobs |= {job.id: job for job in store.jobs_with({job_id for _, job_id in moved})}
        # A full page may end before the newest change.
        newest = moved[-1][0] if len(moved) == PAGE else newest
    return News(
        after.or_later(Position(_last(points), newest)),
        jobs,
        moved,
        [MetricPointView.of_point(point) for point in points],
        read_line(store) if topics.queue and (changed or greet) else None,
    )


def read_line(store: JobStore) -> LineView:
    """What waits, in its order."""
    return LineView.of(store.waiting(LINE), paused=store.paused)


def read_active(store: JobStore) -> dict[str, Job]:
    """The jobs that have a process, by id."""
    return {job.id: job for job in store.jobs(JobFilter(states=ACTIVE), limit=None)}


def _last(points: Sequence[MetricPoint]) -> int:
    return points[-1].cursor or 0 if points else 0
