"""How long something takes, on a machine that may stand still meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_TICK_SECONDS, _STANDSTILL_SECONDS = 0.01, 0.1


@contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    """Seconds since the block began in which this process went on: a standstill counts for a moment only."""
    passed, ended = 0.0, threading.Event()

    def count() -> None:
        nonlocal passed
        before = time.monotonic()
        while not ended.wait(_TICK_SECONDS):
            now = time.monotonic()
            passed += min(_STANDSTILL_SECONDS, now - before)
            before = now

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield lambda: passed
    finally:
        ended.set()
        thread.join()
