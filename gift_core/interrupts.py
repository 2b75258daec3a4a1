"""Ctrl-C as a wish to stop soon, with nothing lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console


@contextmanager
def stop_asked_by_interrupt(console: Console, after: str, processes: int = 1) -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets, to stop `after` what is under way; the second interrupts.

    Several processes cannot agree on where to stop: with them, the first interrupts.
    """
    stop = threading.Event()
    if processes > 1:
        yield stop
        return

    def ask(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        console.print(f"Stopping after {after}. Press Ctrl-C again to stop at once.", highlight=False)
        stop.set()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
