"""For how long a job's process may go on without a word from its worker: one renews a file, the other reads it.

Both read the clock since the machine's start, which nobody sets.
"""

from __future__ import annotations

import math
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from gift_core.reporting import write_atomically

_EXIT_LOST = 75
_LOOK_SECONDS = 1.0


def lease_file(attempt: int) -> str:
    """Each attempt has its own: the process of an earlier one does not live on by it."""
    return f"lease-{attempt}"


class Lease:
    """The worker's end: `seconds` from each renewal on."""

    def __init__(self, path: Path, seconds: float) -> None:
        self._path = path
        self._seconds = seconds
        self._until = math.inf

    def renew(self, since: float) -> None:
        """One that is over stays so. `since` is a time of the monotonic clock at which the job was this worker's."""
        if self.is_over:
            return
        self._until = since + self._seconds
        write_atomically(self._path, f"{self._until:.3f}")

    @property
    def is_over(self) -> bool:
        """Whether the process has ended itself, or is about to."""
        return time.monotonic() >= self._until

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


def die_without(lease: Path) -> None:
    """End this process once its lease is over: somebody else may have the job by then.

    A worker that stands still, or is cut off from the store, does not renew it.
    """
    while True:
        until = 0.0
        with suppress(OSError, ValueError):
            until = float(lease.read_text())
        left = until - time.monotonic()
        if left <= 0:
            print("The worker has not renewed its lease: this process ends.", file=sys.stderr, flush=True)
            os._exit(_EXIT_LOST)
        time.sleep(min(left, _LOOK_SECONDS))
