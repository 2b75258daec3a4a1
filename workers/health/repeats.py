"""Keeps a message that comes again and again from filling the log."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_SECONDS = 60.0
# Messages that are remembered; more than this many different ones in a minute are written as they come.
_MOST_REMEMBERED = 512


@dataclass
class _Seen:
    since: float
    left_out: int = 0


class Repeats(logging.Filter):
    """Writes the same warning or error once a minute, and says with the next one how many were left out.

    Two records are the same if their logger, the first line of their text, their kind of exception, and the request and
    the job that they belong to are. What is below a warning is always written.
    """

    def __init__(self, seconds: float = _SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds = seconds
        self._clock = clock
        self._seen: OrderedDict[tuple[object, ...], _Seen] = OrderedDict()
        # Not the handler's: a handler filters before it takes that.
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        left_out = self._count(_key(record))
        if left_out is None:
            return False
        if left_out:
            text, newline, rest = record.getMessage().partition("\n")
            record.msg, record.args = f"{text} ({left_out} more since the last one){newline}{rest}", ()
        return True

    def _count(self, key: tuple[object, ...]) -> int | None:
        """How many were left out since the last one that was written; None if this one is left out too."""
        with self._lock:
            now, seen = self._clock(), self._seen.get(key)
            if seen is not None and now - seen.since < self._seconds:
                seen.left_out += 1
                return None
            self._seen[key] = _Seen(now)
            self._seen.move_to_end(key)
            while len(self._seen) > _MOST_REMEMBERED:
                self._seen.popitem(last=False)
            return seen.left_out if seen else 0


def _key(record: logging.LogRecord) -> tuple[object, ...]:
    error = record.exc_info[1] if record.exc_info else None
    belongs_to = (getattr(record, "request_id", ""), getattr(record, "job_id", ""))
    kind = (type(error), getattr(error, "errno", None))
    return (record.name, record.levelno, record.getMessage().partition("\n")[0], *kind, *belongs_to)
