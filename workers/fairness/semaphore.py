"""A semaphore that serves requesters in rounds."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from workers.fairness.requester import Requester, Standing
from workers.fairness.shares import Shares

Wait = Callable[[Coroutine[Any, Any, object]], Coroutine[Any, Any, None]]


@dataclass(eq=False)
class _Ticket:
    """One wait for a turn. `notify` is called once, when the turn is granted."""

    by: Requester
    notify: Callable[[], None]
    is_granted: bool = False


class FairSemaphore:
    """Grants `at_once` turns at a time, of which `Shares` says who may hold how many.

    The kinds of requesters take turns with each other, and so do the requesters of each kind. A requester with a
    hundred requests delays another one's first request by no more than a requester with one does. Threads and
    coroutines can wait for the same semaphore.
    """

    def __init__(self, at_once: int = 1, own: int | None = None) -> None:
        self._shares = Shares(at_once, own)
        self._lock = threading.Lock()
        # The kind and, within each kind, the requester that was served longest ago is first.
        self._rounds: OrderedDict[Standing, OrderedDict[Requester, deque[_Ticket]]] = OrderedDict(
            (standing, OrderedDict()) for standing in reversed(Standing)
        )

    @contextmanager
    def held(self, by: Requester) -> Iterator[None]:
        """Wait in this thread for a turn, and hold it during the block."""
        granted = threading.Event()
        ticket = self._join(by, granted.set)
        try:
            granted.wait()
            yield
        finally:
            self._leave(ticket)

    @asynccontextmanager
    async def awaited(self, by: Requester, wait: Wait | None = None) -> AsyncIterator[None]:
        """Wait for a turn without holding a thread, and hold it during the block.

        `wait` awaits the grant and may raise instead, which gives the turn up, as cancelling does.
        """
        loop, granted = asyncio.get_running_loop(), asyncio.Event()

        def notify() -> None:
            # A loop that was closed in the meantime waits for nothing.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(granted.set)

        ticket = self._join(by, notify)
        try:
            if not ticket.is_granted:
                await (wait(granted.wait()) if wait else granted.wait())
            yield
        finally:
            self._leave(ticket)

    def waiting(self) -> int:
        """Return how many wait for a turn."""
        with self._lock:
            return sum(len(tickets) for requesters in self._rounds.values() for tickets in requesters.values())

    def _join(self, by: Requester, notify: Callable[[], None]) -> _Ticket:
        ticket = _Ticket(by, notify)
        with self._lock:
            self._rounds[by.standing].setdefault(by, deque()).append(ticket)
            granted = self._grant()
        _tell(granted)
        return ticket

    def _leave(self, ticket: _Ticket) -> None:
        """Give back a turn, or give up waiting for it."""
        with self._lock:
            if ticket.is_granted:
                self._shares.give_back(ticket.by)
            else:
                self._take_out(ticket)
            granted = self._grant()
        _tell(granted)

    def _grant(self) -> list[_Ticket]:
        granted = []
        while ticket := self._next():
            self._take_out(ticket)
            self._shares.take(ticket.by)
            ticket.is_granted = True
            if ticket.by in self._rounds[ticket.by.standing]:
                self._rounds[ticket.by.standing].move_to_end(ticket.by)
            self._rounds.move_to_end(ticket.by.standing)
            granted.append(ticket)
        return granted

    def _next(self) -> _Ticket | None:
        for requesters in self._rounds.values():
            for by, tickets in requesters.items():
                if self._shares.refusal(by) is None:
                    return tickets[0]
        return None

    def _take_out(self, ticket: _Ticket) -> None:
        requesters = self._rounds[ticket.by.standing]
        requesters[ticket.by].remove(ticket)
        if not requesters[ticket.by]:
            del requesters[ticket.by]


def _tell(granted: list[_Ticket]) -> None:
    for ticket in granted:
        ticket.notify()
