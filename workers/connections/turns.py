"""Whose turn it is to write, among the threads of one process: they wait here rather than at the database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from workers.connections.errors import StoreBusy

# While another process holds the database's lock, threads that want to write must not take all that serve requests:
# those that come when so many wait already have less patience.
_MOST_PATIENT = 12
_CROWDED_SECONDS = 5.0


class WritersTurn:
    """Held by one thread at a time."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._count = threading.Lock()
        self._waiting = 0

    @contextmanager
    def held(self, patience: float) -> Iterator[None]:
        """Hold the turn within the block. Raises `StoreBusy` if it does not come within `patience` seconds."""
        if not self._turn.acquire(blocking=False):
            self._wait(patience)
        try:
            yield
        finally:
            self._turn.release()

    def _wait(self, patience: float) -> None:
        with self._count:
            crowded = self._waiting >= _MOST_PATIENT
            self._waiting += 1
        try:
            if not self._turn.acquire(timeout=min(patience, _CROWDED_SECONDS) if crowded else patience):
                raise StoreBusy("Others are writing to the store.", remedy="Try again in a few seconds.")
        finally:
            with self._count:
                self._waiting -= 1
