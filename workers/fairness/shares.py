"""How many of a fixed number of places each requester may hold."""

from __future__ import annotations

from collections import Counter
from enum import Enum, auto

from workers.fairness.requester import STUDIO, Requester

# Of the places, this share is kept for admins, and this one for requesters that hold none.
_FOR_ADMINS = 8
_FOR_NEWCOMERS = 4


class Refusal(Enum):
    """Why a requester may not hold another place."""

    OWN = auto()
    ALL = auto()


class Shares:
    """Counts the places that are held, of `total`. It has no lock: its user has.

    One requester other than the studio holds `own` places at most, and visitors together hold fewer than half. A
    quarter of the places, and of those for visitors, is open only to requesters that hold none, and an eighth only to
    admins; all are rounded down.
    """

    def __init__(self, total: int, own: int | None = None) -> None:
        self.total = total
        self._own = total if own is None else own
        self._visitors = max(1, (total - 1) // 2)
        self._held: Counter[Requester] = Counter()

    def refusal(self, by: Requester, own: int | None = None) -> Refusal | None:
        """Return why `by` may not hold one more place, or None. `own` replaces the general limit for one requester."""
        if by != STUDIO and self._held[by] >= (self._own if own is None else own):
            return Refusal.OWN
        if self._held.total() >= self._limit(by):
            return Refusal.ALL
        if by.is_visitor and self._held_by_visitors() >= self._visitors - self._for_newcomers(by, self._visitors):
            return Refusal.ALL
        return None

    def take(self, by: Requester) -> None:
        """Count one more place for `by`."""
        self._held[by] += 1

    def give_back(self, by: Requester) -> None:
        """Count one place less for `by`."""
        self._held[by] -= 1
        if not self._held[by]:
            del self._held[by]

    def _limit(self, by: Requester) -> int:
        if by.is_admin:
            return self.total
        return self.total - self.total // _FOR_ADMINS - self._for_newcomers(by, self.total)

    def _for_newcomers(self, by: Requester, places: int) -> int:
        return places // _FOR_NEWCOMERS if self._held[by] else 0

    def _held_by_visitors(self) -> int:
        return sum(count for holder, count in self._held.items() if holder.is_visitor)
