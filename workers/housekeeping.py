"""What a worker does beside its jobs: it tells people what happens, and keeps the data folder in order."""

from __future__ import annotations

import fcntl
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

_LOCK = ".housekeeping.lock"


@dataclass(frozen=True)
class Chore:
    """Something to do every so many seconds, for the first time at once."""

    name: str
    seconds: float
    do: Callable[[], object]


class Housekeeping:
    """Each chore in a thread of its own, so that a slow one keeps no other waiting. Start it once, stop it once."""

    def __init__(self, chores: Sequence[Chore] = ()) -> None:
        self.stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        for chore in chores:
            self.add(chore)

    def add(self, chore: Chore) -> None:
        """Before it is started."""
        self._threads.append(threading.Thread(target=self._run, args=(chore,), name=chore.name, daemon=True))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, patience: float = 2.0) -> None:
        """Let each chore come to an end, for at most so many seconds: all of them can be broken off."""
        self.stopped.set()
        deadline = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, chore: Chore) -> None:
        while not self.stopped.is_set():
            try:
                chore.do()
            except Exception:
                logger.exception("%s failed; it is tried again", chore.name)
            self.stopped.wait(chore.seconds)


@contextmanager
def alone_in(data: Path) -> Iterator[bool]:
    """Whether no other process clears up in this data folder; none begins to while the block lasts."""
    with (data / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
