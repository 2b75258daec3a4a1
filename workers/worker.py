"""A worker: takes jobs that fit its free devices, and repairs what was lost. In the web server, or on its own."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable

from workers.devices import DevicePool
from workers.housekeeping import Housekeeping
from workers.locations import ServiceUnavailable
from workers.logs import bound
from workers.queue import JobQueue
from workers.reaper import Reaper
from workers.records import Worker as WorkerRecord
from workers.store import JobStore
from workers.supervisor import Supervisor

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_SHUTDOWN_SECONDS = 8.0


class Worker:
    """Start it once, stop it once. Several may share a store, in one process or on many hosts."""

    def __init__(
        self,
        store: JobStore,
        queue: JobQueue,
        supervisor: Supervisor,
        pool: DevicePool,
        reaper: Reaper,
        *,
        look_seconds: float = _LOOK_SECONDS,
        housekeeping: Housekeeping | None = None,
        announced_here: bool = False,
    ) -> None:
        self.host = socket.gethostname()
        self.id = f"{self.host}:{os.getpid()}:{secrets.token_hex(4)}"
        self._store = store
        self._queue = queue
        self._supervisor = supervisor
        self._pool = pool
        self._reaper = reaper
        self._look_seconds = look_seconds
        self._housekeeping = housekeeping or Housekeeping()
        self._started = time.time()
        self._beats = 0
        # The store's sign when nothing that waited fitted.
        self._nothing_fitted = ""
        self._consumer = queue.consumer(
            self._wake,
            workers=pool.slots,
            shutdown_timeout=_SHUTDOWN_SECONDS,
            announced_here=announced_here,
        )
        self._repairs = threading.Thread(target=self._repair, name="repairs", daemon=True)

    def start(self) -> None:
        self._consumer.start()
        self._repairs.start()
        self._housekeeping.start()

    def stop(self) -> None:
        """Hand the running jobs back, within seconds; queued ones stay queued."""
        self._supervisor.shutdown.set()
        self._housekeeping.stop()
        self._consumer.stop(graceful=True)
        self._repairs.join()
        self._store.leave(self.id)

    @property
    def held_up(self) -> str:
        """Why no job is taken, "" while jobs are taken."""
        return self._supervisor.gate.held_up

    def alive(self) -> bool:
        return bool(self._consumer.alive()) and self._repairs.is_alive()

    def _wake(self, _job_id: str) -> None:
        try:
            self._carry_out_what_fits()
        except (ServiceUnavailable, OSError, MemoryError):
            logger.exception("no job could be taken; trying again")
            self._supervisor.gate.met("The store or the machine did not let a job be taken.")

    def _carry_out_what_fits(self) -> None:
        """Carry out what fits, one job after the other, until nothing does.

        Which job a message was about does not matter: it may be taken, stopped, or behind another by now.
        """
        while not self._supervisor.shutdown.is_set() and self._supervisor.gate.may_take():
            with self._pool.lock:
                pool = self._pool
                job = self._store.claim(self.id, self.host, pool.choose, pool.place, pool.reach)
                if job is None:
                    return
                placed_on = [name for name in job.placed_on.split(",") if name]
                pool.take(placed_on)
            is_free = True
            try:
                with bound(job_id=job.id):
                    logger.info("attempt %d at %s begins on %s", job.attempt, job.id, ",".join(placed_on) or "the side")
                    is_free = self._supervisor.execute(job, placed_on)
                    logger.info("attempt %d at %s has ended", job.attempt, job.id)
            finally:
                if is_free:
                    pool.give_back(placed_on)
                else:
                    logger.error("something of %s does not end: %s is not used any more", job.id, job.placed_on)

    def _repair(self) -> None:
        due = 0.0
        while True:
            if time.monotonic() >= due:
                due = time.monotonic() + self._reaper.interval
                self._try(self._register)
                self._try(self._reaper.look)
            self._try(self._wake_for_what_waits)
            if self._supervisor.shutdown.wait(self._look_seconds):
                return

    def _try(self, repair: Callable[[], None]) -> None:
        """One that fails, as the queue's while its server is away, does not keep the others from their work."""
        try:
            repair()
        except Exception:
            logger.exception("lost jobs could not be looked for; trying again")

    def _register(self) -> None:
        if self.held_up:
            # Also where nothing could be taken now, since all devices are busy.
            self._supervisor.gate.may_take()
        self._beats += 1
        self._store.register(
            WorkerRecord(
                id=self.id,
                host=self.host,
                process_id=os.getpid(),
                devices=[device.held(self.held_up).model_dump() for device in self._pool.devices],
                started=self._started,
                seen=time.time(),
                heartbeat=self._beats,
            )
        )

    def _wake_for_what_waits(self) -> None:
        """A message may have been lost, or have gone to a worker that the job does not fit.

        Looks only if something was committed since nothing fitted; each sign of life of this worker is.
        """
        sign = self._store.database.sign()
        if sign == self._nothing_fitted or not self._queue.is_empty():
            return
        if self._store.paused:
            self._nothing_fitted = sign
            return
        with self._pool.lock:
            waiting, busy = self._store.next_in_line(self._pool.reach), self._store.busy_devices(self.host)
            fits = self._pool.choose(waiting, busy)
        if fits is None:
            self._nothing_fitted = sign
        elif self._supervisor.gate.may_take():
            self._queue.wake(fits.id)
