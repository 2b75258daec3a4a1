"""Server-sent events: one task looks for news in the store and passes it on to everyone who watches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

from api.job_views import JobNews, LineView
from api.news import News, Position, Told, news_about, news_of_all, read_active, read_line
from api.topics import NOTHING, NamedTopics, Topics
from workers.records import Job
from workers.store import JobStore

logger = logging.getLogger(__name__)

QUEUE = 256
# The number of a look of the hub's, and what it saw.
Look = tuple[int, Sequence[Told]]


@dataclass(eq=False)
class Watcher:
    """A stream's place in the hub. It is `behind` until it has read the store, and when its queue overflows."""

    topics: Topics
    queue: asyncio.Queue[Look] = field(default_factory=lambda: asyncio.Queue(QUEUE))
    behind: bool = True

    def offer(self, look: Look) -> None:
        try:
            self.queue.put_nowait(look)
        except asyncio.QueueFull:
            # It reads the store instead. Whoever waits at the old queue has been served from it.
            self.queue = asyncio.Queue(QUEUE)
            self.behind = True


class EventHub:
    """Asks every `interval` seconds, while somebody watches, whether anything was committed; reads rows only if so."""

    def __init__(self, store: JobStore, interval: float) -> None:
        self._store = store
        self._interval = interval
        self._watchers: set[Watcher] = set()
        self._watched = asyncio.Event()
        # So many looks have begun.
        self._looks = 0
        self._position = Position()
        self._sign = ""
        self._active: dict[str, JobNews] = {}
        self._line: LineView | None = None

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
        self, topics: Topics, start: Position | None = None, anew: Topics = NOTHING
    ) -> AsyncGenerator[tuple[Position, Told], None]:
        """Everything about `topics` after `start`, from the store and then as it happens; and where one is after each.

        Of those that are `anew` also what came before `start`. Of the queue, only what happens from now on where there
        is no `start`, or where it is anew.
        """
        position = start or Position()
        async with self._watching(topics) as (watcher, now):
            since = 0 if start and not anew.queue else now
            greet, read = True, 0
            if start and (anew.experiments or anew.jobs):
                async with aclosing(self._history(anew.without_queue, start)) as history:
                    async for told_before in history:
                        yield position, told_before
                topics_told = NamedTopics(topics=anew.without_queue.names)
                yield position, Told("complete", position, topics_told)
            while True:
                if watcher.behind:
                    # Cleared before reading: a queue that overflows meanwhile drops what the read may not have seen.
                    watcher.behind = False
                    read = self._looks
                    news = await asyncio.to_thread(news_about, self._store, topics, position, since=since, greet=greet)
                    watcher.behind = watcher.behind or bool(news)
                    told: Sequence[Told] = [each for each in news.told(position) if each.concerns(topics)]
                    seen, greet = news.seen, False
                else:
                    look, told = await watcher.queue.get()
                    seen = position
                    if look <= read:
                        # It began before this watcher read the store, and may tell what is no longer so.
                        watcher.behind = greet = True
                        continue
                for each in told:
                    if fresh := each.after(position):
                        position = position.or_later(fresh.position)
                        yield position, fresh
                position = position.or_later(seen)

    async def _history(self, topics: Topics, end: Position) -> AsyncGenerator[Told, None]:
        """How everything about `topics` is, and its points up to `end`."""
        position, greet = Position(), True
        while True:
            news = await asyncio.to_thread(news_about, self._store, topics, position, since=end.transition, greet=greet)
            before = [point for point in news.points if point.cursor <= end.metric]
            for each in replace(news, points=before).told(position):
                if each.concerns(topics):
                    yield each
            if not news.points or news.seen.metric >= end.metric:
                return
            position, greet = news.seen, False

    @asynccontextmanager
    async def _watching(self, topics: Topics) -> AsyncIterator[tuple[Watcher, int]]:
        """A watcher, and the newest change of state before it was one."""
        head = Position(*await asyncio.to_thread(self._store.head))
        if not self._watchers:
            # The pump stood still. Watchers read the store once they have joined, so it can skip to here.
            self._position = head
        watcher = Watcher(topics)
        self._watchers.add(watcher)
        self._watched.set()
        try:
            yield watcher, head.transition
        finally:
            self._watchers.discard(watcher)
            if not self._watchers:
                self._watched.clear()

    async def _pump(self) -> None:
        while True:
            await self._watched.wait()
            self._looks += 1
            try:
                news = await asyncio.to_thread(self._look, any(watcher.topics.queue for watcher in self._watchers))
            except Exception:
                logger.exception("The store cannot be read; watchers get their news when it can.")
            else:
                if news:
                    self._pass_on(list(news.told(self._position)))
                self._position = news.seen
            await asyncio.sleep(self._interval)

    def _look(self, with_line: bool) -> News:
        # Before the rows: what is committed in between is seen now or the next time.
        sign = self._store.database.sign()
        if sign == self._sign and (not with_line or self._line is not None):
            return News(self._position)
        # Before the jobs: whoever waits in it is told of no later.
        line = read_line(self._store) if with_line else None
        news = news_of_all(self._store, self._position)
        active = {job_id: (job, _without_clock(job)) for job_id, job in read_active(self._store).items()}
        # A new phase, such as the evaluation at the end, is neither a change of state nor a metric point.
        progressed = {job_id: job for job_id, (job, view) in active.items() if view != self._active.get(job_id)}
        found = replace(news, jobs={**progressed, **news.jobs}, line=line if line != self._line else None)
        # Only now: after a failure everything is looked at again.
        self._active = {job_id: view for job_id, (_, view) in active.items()}
        self._line = line
        # A full page may not be all.
        self._sign = "" if news else sign
        return found

    def _pass_on(self, told: Sequence[Told]) -> None:
        """To each watcher what concerns it, chosen once for all that watch the same."""
        shares: dict[Topics, list[Told]] = {}
        for watcher in self._watchers:
            if watcher.topics not in shares:
                shares[watcher.topics] = [each for each in told if each.concerns(watcher.topics)]
            if shares[watcher.topics]:
                watcher.offer((self._looks, shares[watcher.topics]))


def _without_clock(job: Job) -> JobNews:
    """Return what a client compares to notice a change of a job; the seconds that pass are left out."""
    return JobNews.from_record(job).model_copy(update={"elapsed": 0.0})
