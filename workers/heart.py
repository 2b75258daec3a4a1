"""The heartbeat of one attempt, beside whatever its supervisor is doing: fetching inputs, waiting, uploading."""

from __future__ import annotations

import logging
import math
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from gift_core.reporting import write_atomically
from workers.attempts import Orders
from workers.context import channel, lease_file
from workers.metrics import MetricLine, MetricsTail
from workers.records import Job
from workers.store import JobStore

logger = logging.getLogger(__name__)

# A process that has not been told for this share of the lease that its job is still its own ends itself: before the
# lease is over for everybody else.
_OWN_SHARE = 0.6


class Heart:
    """Beats until the block ends: passes on what the job reports, renews its process's lease, and learns of orders.

    While the store does not answer it goes on trying; the process's own lease runs out meanwhile, as it must.
    """

    def __init__(self, store: JobStore, job: Job, directory: Path, lease_seconds: float) -> None:
        self.lost = threading.Event()
        self.orders: Orders | None = None
        # Whether it could not beat at some time, since the store or the machine did not let it.
        self.was_hindered = False
        self._store = store
        self._job = job
        self._directory = directory
        self._lease = directory / lease_file(job.attempt)
        self._lease_seconds = lease_seconds
        self._tail = MetricsTail(directory / channel(job.attempt))
        self._untold: list[MetricLine] = []
        self._stop = threading.Event()
        self._once = threading.Lock()
        self._until = math.inf
        self._stood_still = False
        self._thread = threading.Thread(target=self._run, name=f"heart-{job.id}", daemon=True)

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        self.beat()
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        try:
            self._lease.unlink(missing_ok=True)
        except OSError as error:
            # Nobody takes it for another attempt's, and it is cleared up later.
            logger.warning("the lease of job %s stays: %s", self._job.id, error)

    def catch_up(self) -> None:
        """Pass on what earlier attempts have reported: the last of it may not have been read before a worker died."""
        attempts = range(self._job.first_attempt, self._job.attempt)
        earlier = [(n, MetricsTail(self._directory / channel(n)).read()) for n in attempts]
        if any(lines for _, lines in earlier):
            self._store.catch_up(self._job.id, self._job.owner or "", earlier)

    def beat(self) -> None:
        """One sign of life. The lease counts from before the store was asked."""
        with self._once:
            try:
                self._beat()
            except Exception:
                self.was_hindered = True
                raise

    def _beat(self) -> None:
        now = time.monotonic()
        unread = None
        try:
            self._untold += self._tail.read()
        except OSError as error:
            # The worker lives, whether or not it can read what its job reports.
            unread = error
        # What the store did not take is told again with the next beat.
        self.orders = self._store.beat(self._job.id, self._job.owner or "", self._untold)
        self._untold = []
        if self.orders is None:
            self.lost.set()
        else:
            self._stood_still = self.stood_still
            lasts = self._lease_seconds * _OWN_SHARE
            if time.monotonic() - now > lasts:
                # The store took that long.
                self.was_hindered = True
            # It means nothing after a restart, and a slow disk must not make it late.
            write_atomically(self._lease, f"{now + lasts:.3f}", durable=False)
            # Not before: what the process has not been told does not count.
            self._until = now + lasts
        if unread is not None:
            raise unread

    @property
    def stood_still(self) -> bool:
        """Whether the process's lease was over at some time: then it has ended itself."""
        return self._stood_still or time.monotonic() >= self._until

    def still_beats(self) -> bool:
        """Whether the job is this worker's, asked of the store now."""
        self.beat()
        return not self.lost.is_set()

    def _run(self) -> None:
        while not self._stop.wait(min(1.0, self._lease_seconds / 10)) and not self.lost.is_set():
            try:
                self.beat()
            except Exception:
                logger.exception("job %s could not give a sign of life; trying again", self._job.id)
