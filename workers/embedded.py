"""The worker inside the web process: takes runs from the queue one by one and repairs what was lost."""

from __future__ import annotations

import logging
import threading
import time

from workers.queue import JobQueue
from workers.store import RunStore
from workers.supervisor import Supervisor

logger = logging.getLogger(__name__)

_REAP_SECONDS = 3.0
_SHUTDOWN_SECONDS = 8.0


class EmbeddedWorker:
    """Start it once, stop it once. Several may share a store and a queue, in one process or in many."""

    def __init__(
        self, store: RunStore, queue: JobQueue, supervisor: Supervisor, *, reap_seconds: float = _REAP_SECONDS
    ) -> None:
        self._store = store
        self._queue = queue
        self._supervisor = supervisor
        self._reap_seconds = reap_seconds
        self._consumer = queue.consumer(supervisor.execute, shutdown_timeout=_SHUTDOWN_SECONDS)
        self._reaper = threading.Thread(target=self._reap, name="reaper", daemon=True)

    def start(self) -> None:
        self._consumer.start()
        self._reaper.start()

    def stop(self) -> None:
        """End the running training as interrupted, within seconds; queued runs stay queued."""
        self._supervisor.shutdown.set()
        self._consumer.stop(graceful=True)
        self._reaper.join()

    def alive(self) -> bool:
        return bool(self._consumer.alive()) and self._reaper.is_alive()

    def _reap(self) -> None:
        while True:
            try:
                self._repair()
            except Exception:
                logger.exception("lost runs could not be looked for; trying again")
            if self._supervisor.shutdown.wait(self._reap_seconds):
                return

    def _repair(self) -> None:
        for run in self._store.expire_leases(time.time()):
            logger.warning("run %s was interrupted: its worker disappeared", run.id)
        announced = set(self._queue.pending())
        for run in self._store.waiting():
            if run.id not in announced:
                self._queue.enqueue(run.id)
