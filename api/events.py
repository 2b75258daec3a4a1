"""Server-sent events: one task looks for news in the run store and passes it on to everyone who watches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Self

from api.schemas import MetricPointView, MetricsEvent, RunEvent, RunMetrics, RunView
from workers.observations import JobFilter
from workers.records import ACTIVE, JobKind
from workers.store import JobStore

logger = logging.getLogger(__name__)

PAGE = 500
QUEUE = 256


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


@dataclass(frozen=True)
class Changes:
    """News: changes of state as (id, run id), points in cursor order, and how the runs of both are now.

    `runs` may also have runs of which only the phase or the progress changed.
    """

    transitions: Sequence[tuple[int, str]]
    points: Sequence[MetricPointView]
    runs: dict[str, RunView]

    def of(self, experiment_id: str) -> Changes:
        runs = {run.id: run for run in self.runs.values() if run.experiment_id == experiment_id}
        return Changes(
            [change for change in self.transitions if change[1] in runs],
            [point for point in self.points if point.run_id in runs],
            runs,
        )

    def since(self, position: Position) -> Changes:
        """Without what someone at `position` has. Runs stay: how things are may be said again."""
        return Changes(
            [change for change in self.transitions if change[0] > position.transition],
            [point for point in self.points if point.cursor > position.metric],
            self.runs,
        )

    def __bool__(self) -> bool:
        return bool(self.runs)

    def end(self, position: Position) -> Position:
        """Where someone at `position` is after these."""
        return Position(
            max([position.metric, *(point.cursor for point in self.points)]),
            max([position.transition, *(change for change, _ in self.transitions)]),
        )

    def events(self, position: Position) -> Iterator[RunEvent | MetricsEvent]:
        """Runs as they are now, then their points.

        Each id covers exactly what has been sent up to it, so a stream may break off anywhere and go on
        without losing or repeating a point. So points are grouped only while their cursors follow on.
        """
        latest = {run_id: change for change, run_id in self.transitions}
        for run_id in sorted(self.runs, key=lambda run_id: latest.get(run_id, 0)):
            position = replace(position, transition=max(position.transition, latest.get(run_id, 0)))
            yield RunEvent(id=str(position), data=self.runs[run_id])
        for run_id, group in groupby(self.points, key=lambda point: point.run_id):
            points = list(group)
            position = replace(position, metric=points[-1].cursor)
            yield MetricsEvent(id=str(position), data=RunMetrics(run_id=run_id, points=points))


def read_changes(store: JobStore, after: Position, run_ids: Sequence[str] | None = None) -> Changes:
    """Up to a page of what is newer than `after`, in these runs or in all."""
    # Changes of state first and points second: the points that precede a change are then never behind it.
    scopes = [None] if run_ids is None else run_ids
    transitions = [
        (change.id or 0, change.job_id)
        for run_id in scopes
        for change in store.transitions(after=after.transition, job_id=run_id, limit=PAGE)
    ]
    points = store.metrics(run_ids, after=after.metric, limit=PAGE)
    touched = {run_id for _, run_id in transitions} | {point.job_id for point in points}
    return Changes(
        sorted(transitions),
        [MetricPointView.of_point(point) for point in points],
        {job.id: RunView.from_record(job) for job in store.jobs_with(touched) if job.kind == JobKind.TRAIN},
    )


def read_active(store: JobStore) -> dict[str, RunView]:
    """The runs that are being trained, by id."""
    wanted = JobFilter(kind=JobKind.TRAIN, states=ACTIVE)
    return {run.id: RunView.from_record(run) for run in store.jobs(wanted, limit=None)}


@dataclass(eq=False)
class Watcher:
    """One open stream's share of the news. Whoever is `behind` has to read the store instead of the queue."""

    experiment_id: str
    queue: asyncio.Queue[Changes] = field(default_factory=lambda: asyncio.Queue(QUEUE))
    behind: bool = True

    def offer(self, changes: Changes) -> None:
        try:
            self.queue.put_nowait(changes)
        except asyncio.QueueFull:
            self.queue = asyncio.Queue(QUEUE)
            self.behind = True


class EventHub:
    """Looks for news every `interval` seconds, only while somebody watches."""

    def __init__(self, store: JobStore, interval: float) -> None:
        self._store = store
        self._interval = interval
        self._watchers: set[Watcher] = set()
        self._watched = asyncio.Event()
        self._position = Position()
        self._active: dict[str, RunView] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        pump = asyncio.create_task(self._pump())
        try:
            yield
        finally:
            pump.cancel()
            with suppress(asyncio.CancelledError):
                await pump

    async def stream(
        self, experiment_id: str, run_ids: Sequence[str], position: Position
    ) -> AsyncGenerator[RunEvent | MetricsEvent, None]:
        """Everything about an experiment after `position`, first from the store, then as it happens."""
        async with self._watching(experiment_id) as watcher:
            while True:
                changes = await self._next(watcher, run_ids, position)
                for event in changes.events(position):
                    yield event
                position = changes.end(position)

    async def _next(self, watcher: Watcher, run_ids: Sequence[str], position: Position) -> Changes:
        if not watcher.behind:
            return (await watcher.queue.get()).since(position)
        # Cleared before reading: a queue that overflows meanwhile drops news that the read may not have seen.
        watcher.behind = False
        changes = await asyncio.to_thread(read_changes, self._store, position, run_ids)
        watcher.behind = watcher.behind or bool(changes)
        return changes

    @asynccontextmanager
    async def _watching(self, experiment_id: str) -> AsyncIterator[Watcher]:
        head = await asyncio.to_thread(self._store.head)
        if not self._watchers:
            # The pump stood still. Watchers read the store once they have joined, so it can skip to here.
            self._position = Position(*head)
        watcher = Watcher(experiment_id)
        self._watchers.add(watcher)
        self._watched.set()
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            if not self._watchers:
                self._watched.clear()

    async def _pump(self) -> None:
        while True:
            await self._watched.wait()
            try:
                changes = await asyncio.to_thread(self._look)
            except Exception:
                logger.exception("The run store cannot be read; watchers get their news when it can.")
            else:
                self._position = changes.end(self._position)
                self._pass_on(changes)
            await asyncio.sleep(self._interval)

    def _look(self) -> Changes:
        changes = read_changes(self._store, self._position)
        active = read_active(self._store)
        # A new phase, such as the evaluation at the end, is neither a change of state nor a metric point.
        progressed = {run_id: run for run_id, run in active.items() if run != self._active.get(run_id)}
        self._active = active
        return replace(changes, runs=changes.runs | progressed)

    def _pass_on(self, changes: Changes) -> None:
        for watcher in self._watchers:
            if share := changes.of(watcher.experiment_id):
                watcher.offer(share)
