"""Signals that end the process while it still starts. Nothing slow is imported here: it comes before other imports."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def end_when_asked(close: Callable[[], object] = lambda: None) -> None:
    """Have SIGTERM and Ctrl-C call `close` and end this process with status 0, until something else handles them.

    The kernel drops a signal to the first process of a container that has no handler for it. It keeps one that the
    process was started with blocked (`env --block-signal=TERM`), which is handled now.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        with suppress(Exception):
            close()
        # An exception would be lost where it is raised in a callback, of which imports have many.
        os._exit(0)

    for number in _SIGNALS:
        signal.signal(number, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
