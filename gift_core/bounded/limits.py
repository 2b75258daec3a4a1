"""Limits that a process sets for itself. They are enforced by the kernel, in whatever loop of C it hangs."""

from __future__ import annotations

import resource
import signal
from contextlib import suppress
from pathlib import Path


def limit_memory(size: int) -> None:
    """Let this process have `size` bytes at most."""
    # Some systems know no such limit; the time is limited all the same.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_more_memory(size: int) -> None:
    """Let this process have `size` bytes more than it has by now: libraries take the more the more cores there are."""
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        limit_memory(pages * resource.getpagesize() + size)


def limit_time(cpu_seconds: float, wall_seconds: int) -> None:
    """End this process after so much time of the CPU, or of the clock, from now on; 0 takes the limits away.

    The time of the clock is for what waits rather than computes. What these signals do unless caught is to end the
    process.
    """
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    signal.alarm(wall_seconds)
