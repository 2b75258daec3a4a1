"""Finds jobs whose worker has gone silent."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from workers.attempts import Pulse
from workers.store import JobStore

logger = logging.getLogger(__name__)


class Reaper:
    """Counts a job as lost once its heartbeat has stood still for `lease_seconds` while this one was looking.

    No two clocks are compared, and none that can be set is read: hosts may disagree about the time of day, and it may
    jump. `clock` counts seconds. A time in which the store could not be written to counts for nobody as silence.
    """

    def __init__(self, store: JobStore, lease_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._seen: dict[str, tuple[Pulse, float]] = {}
        self._workers: dict[str, tuple[int, float]] = {}
        self._looked: float | None = None

    @property
    def interval(self) -> float:
        """Seconds between looks."""
        return self._lease_seconds / 5

    def look(self) -> None:
        """Note every job's heartbeat, and take away those that did not beat for too long."""
        now = self._clock()
        if self._looked is not None and now - self._looked > self._lease_seconds / 2:
            # It was this process that stood still: what it remembers says nothing about the others.
            self._seen.clear()
            self._workers.clear()
        self._looked = now
        before, self._seen = self._seen, {}
        for pulse in self._store.pulses():
            known = before.get(pulse.job_id)
            since = known[1] if known and known[0] == pulse else now
            if now - since < self._lease_seconds:
                self._seen[pulse.job_id] = (pulse, since)
            elif self._store.lose(pulse, lambda: self._clock() - now <= self._lease_seconds / 2):
                logger.warning("job %s was taken from a worker that has gone silent", pulse.job_id)
        self._forget_workers(now)

    def _forget_workers(self, now: float) -> None:
        """A worker that was killed could not say that it ended."""
        before, self._workers = self._workers, {}
        for worker in self._store.workers():
            heartbeat, since = before.get(worker.id, (worker.heartbeat, now))
            if heartbeat != worker.heartbeat:
                since = now
            if now - since < self._lease_seconds:
                self._workers[worker.id] = (worker.heartbeat, since)
            else:
                self._store.leave(worker.id)
