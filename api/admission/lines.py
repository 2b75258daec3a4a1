"""The lines that requests wait in, without holding a thread, until they are carried out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from workers.fairness.semaphore import FairSemaphore

# The server has 40 threads for requests. What finds out who asks needs some of them.
_REQUESTS = 24
_OWN_REQUESTS = 8


@dataclass(frozen=True)
class Lines:
    """One line for each kind of work. Requesters take turns in each."""

    # Everything that is not named below.
    requests: FairSemaphore = field(default_factory=lambda: FairSemaphore(_REQUESTS, _OWN_REQUESTS))
    # One after the other: two at once would only slow each other down.
    preflights: FairSemaphore = field(default_factory=FairSemaphore)
    inspections: FairSemaphore = field(default_factory=FairSemaphore)
    previews: FairSemaphore = field(default_factory=FairSemaphore)


ChooseLine = Callable[[Lines], FairSemaphore | None]


def requests(lines: Lines) -> FairSemaphore:
    """Choose the line of ordinary requests."""
    return lines.requests


def preflights(lines: Lines) -> FairSemaphore:
    """Choose the line of reports on experiments that are not launched yet."""
    return lines.preflights


def inspections(lines: Lines) -> FairSemaphore:
    """Choose the line of inspections of one text."""
    return lines.inspections


def previews(lines: Lines) -> FairSemaphore:
    """Choose the line of previews of data."""
    return lines.previews


def no_line(_: Lines) -> None:
    """Choose none, for a body that is received piece by piece and must not be waited for here."""
