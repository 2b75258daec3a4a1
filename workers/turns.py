"""Computations that take turns: whoever has waited longest is next."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType


class Turns:
    """A lock that is fair. Two forward passes at once on the same cores take longer than one after the other, and with
    an unfair lock a long denoising would let nobody in between its steps."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy = False
        self._waiting: deque[threading.Event] = deque()

    def pass_on(self) -> None:
        """Let go of one's turn, and wait for the next; at once if nobody waits."""
        self.__exit__(None, None, None)
        self.__enter__()

    def __enter__(self) -> None:
        with self._lock:
            if not self._busy:
                self._busy = True
                return
            mine = threading.Event()
            self._waiting.append(mine)
        mine.wait()

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        with self._lock:
            if self._waiting:
                # The turn is handed over: nobody who comes later can take it.
                self._waiting.popleft().set()
            else:
                self._busy = False
