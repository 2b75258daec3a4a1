"""A trace while it is being made: its events so far, and who wants to hear of the next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

from gift_core.errors import Problem
from gift_core.trace import Frame, Trace, TraceEnd, TraceStart
from workers.fairness.requester import STUDIO, Requester

if TYPE_CHECKING:
    from gift_core.tracing import TraceEvent


class TraceState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    FAILED = "failed"


ENDED = frozenset({TraceState.FINISHED, TraceState.CANCELLED, TraceState.FAILED})


class LiveTrace:
    """Written by one thread, ended and read by any. `events` only grows, and not after the end.

    `by` asked for it first.
    """

    def __init__(self, identity: str, checkpoint: str, label: str, by: Requester = STUDIO) -> None:
        self.id = identity
        self.by = by
        self.checkpoint = checkpoint
        self.label = label
        self.state = TraceState.QUEUED
        self.events: list[TraceEvent] = []
        self.problems: tuple[Problem, ...] = ()
        self.cancelled = threading.Event()
        self._lock = threading.Lock()
        self._listeners: set[Callable[[], None]] = set()

    @classmethod
    def of(cls, identity: str, trace: Trace) -> LiveTrace:
        """A finished one."""
        live = cls(identity, trace.start.checkpoint, trace.start.label)
        live.events = [trace.start, *trace.frames, trace.end]
        live.state = TraceState.FINISHED
        return live

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def steps(self) -> int:
        """How many steps were taken so far."""
        return sum(isinstance(event, Frame) for event in self.events)

    def add(self, event: TraceEvent) -> bool:
        """False, and nothing is added, where it has ended."""
        with self._lock:
            if self.ended:
                return False
            self.events.append(event)
            self.state = TraceState.RUNNING
        self._tell()
        return True

    def end(self, state: TraceState, problems: Sequence[Problem] = ()) -> None:
        """The first end counts."""
        with self._lock:
            if self.ended:
                return
            self.problems = tuple(problems)
            self.state = state
        self._tell()

    def withdraw(self) -> None:
        """End it if it has not begun."""
        if self.state == TraceState.QUEUED:
            self.end(TraceState.CANCELLED)

    def trace(self) -> Trace:
        """The whole, of a trace that has come to its end."""
        start, *frames, end = self.events
        assert isinstance(start, TraceStart)
        assert isinstance(end, TraceEnd)
        return Trace(start=start, frames=[frame for frame in frames if isinstance(frame, Frame)], end=end)

    @contextmanager
    def listening(self, listener: Callable[[], None]) -> Iterator[None]:
        """`listener` is called, from the writing thread, after every change."""
        with self._lock:
            self._listeners.add(listener)
        try:
            yield
        finally:
            with self._lock:
                self._listeners.discard(listener)

    def _tell(self) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()
