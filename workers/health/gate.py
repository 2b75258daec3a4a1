"""Lets a worker take jobs only while its machine lets it carry them out."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from gift_core.errors import Problem
from workers.health.probe import Probe

logger = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 15.0


class Gate:
    """Closed for a while after each fault of the machine, twice as long each time, and opened by a probe that succeeds.

    `held_up` says why nothing is taken, "" while jobs are taken.
    """

    def __init__(
        self, probe: Probe, pause: float = _FIRST_PAUSE_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.held_up = ""
        self._probe = probe
        self._first_pause = pause
        self._clock = clock
        self._pause = 0.0
        self._closed_until = -float("inf")
        self._lock = threading.Lock()

    def may_take(self) -> bool:
        """Return whether a job may be taken now."""
        if self._clock() < self._closed_until:
            return False
        problem = self._probe.problem()
        if problem is not None:
            self._close(problem)
            return False
        with self._lock:
            if self._clock() < self._closed_until:
                # Another job has met a fault since.
                return False
            was_held_up, self.held_up = self.held_up, ""
        if was_held_up:
            logger.warning("jobs are taken again")
        return True

    def problem(self) -> Problem | None:
        """Return what is wrong at this moment, and take nothing for a while if something is."""
        problem = self._probe.problem(fresh=True)
        if problem is not None:
            self._close(problem)
        return problem

    def met(self, fault: str) -> None:
        """Take nothing for a while: a job has met a fault of the machine."""
        self._close(Problem(fault))

    def went_well(self) -> None:
        """A job has ended by itself: the next pause is a short one again."""
        self._pause = 0.0

    def _close(self, problem: Problem) -> None:
        with self._lock:
            if self._clock() < self._closed_until:
                # Several jobs have met the same.
                return
            self._pause = min(max(self._first_pause, 2 * self._pause), _LONGEST_PAUSE_SECONDS)
            self._closed_until = self._clock() + self._pause
            self.held_up = str(problem)
        logger.warning("no job is taken: %s", problem)
