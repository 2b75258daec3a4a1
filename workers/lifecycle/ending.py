"""How the processes of an attempt are made to end."""

from __future__ import annotations

import logging
import signal
import time
from pathlib import Path

from workers.outcome import DISCARDED, RESTORED, STOPPED, STUDIO_STOPPED, Outcome
from workers.processes import Process, signal_everything_of, signal_group
from workers.records import Job, StopMode

logger = logging.getLogger(__name__)

_SHUTDOWN_GRACE_SECONDS = 2.0
_RESTORE_GRACE_SECONDS = 2.0
# A discard can be undone: most trainings save within this time what they can be resumed from.
_DISCARD_GRACE_SECONDS = 5.0
_ASK_AGAIN_SECONDS = 1.0


class Ending:
    """Asks the processes of an attempt to end, again and again, and kills them when their time is over."""

    def __init__(self, job: Job, directory: Path, process: Process, stop_grace: float) -> None:
        self.outcome: Outcome | None = None
        self._job_id = job.id
        self._attempt = job.attempt
        self._directory = directory
        self._process = process
        self._stop_grace = stop_grace
        self._number = signal.SIGTERM
        self._next = self._deadline = float("inf")

    def stop(self, mode: StopMode) -> None:
        if mode is StopMode.RESTORE:
            self._ask(RESTORED, signal.SIGTERM, _RESTORE_GRACE_SECONDS)
        elif mode is StopMode.DISCARD:
            self._ask(DISCARDED, signal.SIGTERM, _DISCARD_GRACE_SECONDS)
        elif self.outcome is None:
            self._ask(STOPPED, signal.SIGUSR1, self._stop_grace)

    def shut_down(self) -> None:
        # One that was told to stop has had its order: it gets less time now.
        if self.outcome in (None, STOPPED):
            self._ask(self.outcome or STUDIO_STOPPED, signal.SIGTERM, _SHUTDOWN_GRACE_SECONDS)

    def insist(self) -> None:
        now = time.monotonic()
        if now >= self._deadline:
            signal_group(self._process, signal.SIGKILL)
        elif now >= self._next:
            # Some of them may not have been there the last time.
            self._next = now + _ASK_AGAIN_SECONDS
            try:
                signal_everything_of(self._directory, self._attempt, self._number)
            except OSError:
                # Which they are could not be found out; the one that leads them is known.
                logger.exception("the processes of job %s could not be found; trying again", self._job_id)
                signal_group(self._process, self._number)

    def _ask(self, outcome: Outcome, number: signal.Signals, grace: float) -> None:
        now = time.monotonic()
        if self.outcome is outcome and self._deadline <= now + grace:
            return
        self.outcome, self._number, self._next = outcome, number, now
        self._deadline = min(self._deadline, now + grace)
