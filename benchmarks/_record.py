"""What the soak has seen: how requests ended and how long they took, and how the server grew."""

from __future__ import annotations

import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import psutil

# Answers that refuse by design: a quota or a limit, a conflict, and "busy".
REFUSALS = frozenset({409, 429, 503})
_MEGABYTE = 2**20


@dataclass
class Tally:
    """The requests of one kind: seconds of those that were answered, refusals by status, errors by their name."""

    seconds: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def requests(self) -> int:
        return len(self.seconds) + self.refused.total() + self.errors.total()

    def percentile(self, which: int) -> float:
        """Return a percentile of the seconds of answered requests; 0 without any."""
        if len(self.seconds) < 2:
            return self.seconds[0] if self.seconds else 0.0
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[which - 1]


@dataclass(frozen=True)
class Sample:
    """What the server process held at one moment."""

    minute: float
    rss_mb: float
    descriptors: int
    threads: int
    processes: int

    @classmethod
    def of(cls, server: psutil.Process, minute: float) -> Sample:
        with server.oneshot():
            rss, descriptors, threads = server.memory_info().rss, server.num_fds(), server.num_threads()
        return cls(minute, rss / _MEGABYTE, descriptors, threads, len(server.children(recursive=True)))


class Record:
    """Everything that the callers have noted, by caller and kind of request."""

    def __init__(self) -> None:
        self.tallies: defaultdict[tuple[str, str], Tally] = defaultdict(Tally)
        self.counts: Counter[str] = Counter()
        self.samples: list[Sample] = []

    def count(self, what: str) -> None:
        self.counts[what] += 1

    @contextmanager
    def timed(self, caller: str, kind: str) -> Iterator[Callable[[httpx.Response], None]]:
        """Time the block from its start to the call of what it is given; a failing block is an error by its name."""
        tally, began = self.tallies[caller, kind], time.monotonic()
        answered = False

        def ended(answer: httpx.Response) -> None:
            nonlocal answered
            answered = True
            if answer.status_code in REFUSALS:
                tally.refused[str(answer.status_code)] += 1
            elif answer.is_success or answer.is_redirect:
                tally.seconds.append(time.monotonic() - began)
            else:
                tally.errors[str(answer.status_code)] += 1

        try:
            yield ended
        except httpx.HTTPError as error:
            # A stream that was opened and then broke off counts as an error too.
            tally.errors[type(error).__name__ + (" later" if answered else "")] += 1

    def by_kind(self, of_greedy: bool) -> dict[str, Tally]:
        """Return one tally for each kind of request, of the greedy caller or of all others."""
        merged: defaultdict[str, Tally] = defaultdict(Tally)
        for (caller, kind), tally in sorted(self.tallies.items()):
            if (caller == GREEDY) == of_greedy:
                merged[kind].seconds += tally.seconds
                merged[kind].refused += tally.refused
                merged[kind].errors += tally.errors
        return dict(merged)


GREEDY = "greedy"
