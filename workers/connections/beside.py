"""Writes that no request waits for, such as when a key was last used."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager, suppress

from sqlmodel import Session

from workers.locations import ServiceUnavailable

logger = logging.getLogger(__name__)

Write = Callable[[Session], object]
_SOON_SECONDS = 0.2
_LATER_SECONDS = 2.0
# How long one attempt waits for others who write, and the last one.
_PATIENCE_SECONDS = 0.05
_LAST_PATIENCE_SECONDS = 2.0
_MOST = 10_000


class Beside:
    """Keeps writes in memory and carries them out together, in a thread of its own, when the database is free.

    There is a thread only while something is kept. What is still kept when a process is killed is lost.
    """

    def __init__(self, writing: Callable[[float], AbstractContextManager[Session]]) -> None:
        """`writing` begins a transaction, given the seconds that it may wait for others."""
        self._writing = writing
        self._kept: dict[Hashable, Write] = {}
        self._lock = threading.Lock()
        self._one_flush = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, name: Hashable, write: Write) -> bool:
        """Keep a write, instead of the one of that name if there is one. False if too many are kept already."""
        with self._lock:
            if self._stopped.is_set() or (name not in self._kept and len(self._kept) >= _MOST):
                return False
            self._kept[name] = write
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="writes beside requests", daemon=True)
                # Without a thread, as where the machine lets none begin, the next write or the end carries it out.
                with suppress(RuntimeError, MemoryError):
                    thread.start()
                    self._thread = thread
        return True

    def flush(self, patience: float = _PATIENCE_SECONDS) -> bool:
        """Carry out what is kept; False if the database is not free, and then it is kept on."""
        with self._one_flush:
            with self._lock:
                kept = list(self._kept.items())
            try:
                self._carry_out(kept, patience)
            except ServiceUnavailable:
                return False
            return True

    def _carry_out(self, kept: Sequence[tuple[Hashable, Write]], patience: float) -> None:
        if not kept:
            return
        try:
            with self._writing(patience) as session:
                for _, write in kept:
                    write(session)
        except ServiceUnavailable:
            raise
        except Exception:
            if len(kept) > 1:
                # Nothing was written. Those that can be are not lost with the one that cannot.
                half = len(kept) // 2
                self._carry_out(kept[:half], patience)
                self._carry_out(kept[half:], patience)
                return
            # Tried again it would fail again.
            logger.exception("a write beside requests was dropped")
        with self._lock:
            for name, write in kept:
                if self._kept.get(name) is write:
                    del self._kept[name]

    def close(self) -> None:
        """Carry out what is kept, for the last time."""
        with self._lock:
            self._stopped.set()
            thread = self._thread
        if thread is not None:
            thread.join()
        if not self.flush(_LAST_PATIENCE_SECONDS):
            logger.warning("%d writes beside requests were lost: the store is not free", len(self._kept))

    def _run(self) -> None:
        seconds = _SOON_SECONDS
        while not self._stopped.wait(seconds):
            seconds = _SOON_SECONDS if self.flush() else _LATER_SECONDS
            with self._lock:
                if not self._kept:
                    self._thread = None
                    return
