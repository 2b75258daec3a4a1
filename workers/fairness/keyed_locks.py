"""One lock for each key."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary


class _Lock:
    """A lock that can be referred to weakly."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


class KeyedLocks:
    """Lets one thread at a time work on each key; locks that nothing uses are forgotten."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, _Lock] = WeakValueDictionary()
        self._lock = threading.Lock()

    @contextmanager
    def held(self, key: str) -> Iterator[None]:
        """Hold the lock of `key` during the block."""
        with self._lock:
            mine = self._locks.get(key)
            if mine is None:
                mine = self._locks[key] = _Lock()
        with mine.lock:
            yield
