"""Places that are given at once: how many each requester may hold, and for whom some are kept."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from workers.fairness.places import Places
from workers.fairness.requester import Requester, Standing
from workers.fairness.shares import Refusal


class RefusedError(Exception):
    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal


def requesters(standing: Standing, count: int) -> list[Requester]:
    return [Requester(f"{standing} {number}", standing) for number in range(count)]


def take_all(places: Places, held: ExitStack, by: Requester, most: int) -> int:
    """Take places until there is none; how many that were."""
    for taken in range(100):
        try:
            held.enter_context(places.one(by, most, RefusedError))
        except RefusedError:
            return taken
    raise AssertionError("there is no end of places")


def test_places_are_given_back_even_by_what_fails() -> None:
    places, (one, other, third) = Places(2), requesters(Standing.OWNER, 3)
    for _ in range(5):
        with pytest.raises(ZeroDivisionError), places.one(one, 1, RefusedError):
            raise ZeroDivisionError
    with places.one(one, 1, RefusedError):
        with pytest.raises(RefusedError) as own, places.one(one, 1, RefusedError):
            pass
        with (
            places.one(other, 1, RefusedError),
            pytest.raises(RefusedError) as full,
            places.one(third, 1, RefusedError),
        ):
            pass
    assert (own.value.refusal, full.value.refusal) == (Refusal.OWN, Refusal.ALL)
    with places.one(one, 1, RefusedError):
        pass


@pytest.mark.parametrize("total", [1, 2, 8, 16, 24, 64])
def test_visitors_together_hold_fewer_than_half(total: int) -> None:
    places = Places(total)
    with ExitStack() as held:
        everyone = [*requesters(Standing.ANONYMOUS, total), *requesters(Standing.VISITOR, total)]
        taken = sum(take_all(places, held, visitor, most=4) for visitor in everyone)
        assert taken == max(1, (total - 1) // 2)
        if total > 1:
            assert take_all(places, held, requesters(Standing.OWNER, 1)[0], most=4) >= 1


@pytest.mark.parametrize("total", [8, 16, 24, 64])
def test_greedy_owners_leave_places_to_others_and_to_admins(total: int) -> None:
    places = Places(total)
    owners, (admin,) = requesters(Standing.OWNER, total), requesters(Standing.ADMIN, 1)
    with ExitStack() as held:
        assert sum(take_all(places, held, owner, most=total) for owner in owners[:1]) < total
        assert take_all(places, held, owners[1], most=total) >= 1
        for owner in owners[2:]:
            take_all(places, held, owner, most=total)
        assert take_all(places, held, admin, most=total) == total // 8
