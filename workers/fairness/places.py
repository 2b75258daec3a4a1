"""Places that are given at once or refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from workers.fairness.requester import Requester
from workers.fairness.shares import Refusal, Shares


class Places:
    """`total` places, shared as `Shares` says. Who finds none is refused and does not wait."""

    def __init__(self, total: int) -> None:
        self._shares = Shares(total)
        self._lock = threading.Lock()

    @contextmanager
    def one(self, by: Requester, most: int, refuse: Callable[[Refusal], Exception]) -> Iterator[None]:
        """Hold a place during the block; raise what `refuse` makes of the reason if there is none.

        `most` is how many `by` may hold.
        """
        with self._lock:
            refusal = self._shares.refusal(by, most)
            if refusal is None:
                self._shares.take(by)
        if refusal is not None:
            raise refuse(refusal)
        try:
            yield
        finally:
            with self._lock:
                self._shares.give_back(by)
