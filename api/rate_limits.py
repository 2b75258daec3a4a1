"""How often, and how many at once: token buckets and places, in the memory of each web process.

Time is the monotonic clock's: setting the machine's clock neither lets anybody in nor shuts anybody out.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from math import ceil

from gift_core.config.addresses import network_of
from gift_core.errors import GiftError
from workers.fairness.places import Places
from workers.fairness.requester import Requester
from workers.fairness.shares import Refusal
from workers.settings import Settings

# Those that were seen longest ago are forgotten, which gives them a full bucket: it takes as long to fill one.
_MOST_BUCKETS = 10_000
_SIGN_INS_PER_MINUTE = 10
# Of all addresses together that proxies name: one that passes on what clients claim could name any.
_FORWARDED_SIGN_INS_PER_MINUTE = 120
_FORWARDED = "forwarded"
_PLACE_SECONDS = 2
# Looks at once, of all and of one caller: a browser has six connections to a host. Each holds a thread of the server's.
_LOOKS = 24
_OWN_LOOKS = 8


class TooManyError(GiftError):
    """More than the caller may ask for now."""

    code = "too_many_requests"

    def __init__(self, message: str, seconds: int, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy or f"Try again in {seconds} s.")
        self.headers: Mapping[str, str] = {"Retry-After": str(seconds)}


class BusyError(TooManyError):
    """All places for requests that compute are taken."""

    code = "busy"


class TokenBuckets:
    """`per_minute` for each name, of which all may come at once after a pause."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = per_minute
        self._per_second = per_minute / 60
        self._clock = clock
        # By name: tokens, and when they were counted.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str) -> None:
        """Take one token; raises `TooManyError` that says when there will be one."""
        with self._lock:
            now = self._clock()
            tokens, counted = self._buckets.pop(name, (float(self._capacity), now))
            tokens = min(self._capacity, tokens + (now - counted) * self._per_second)
            self._buckets[name] = (tokens - 1 if tokens >= 1 else tokens, now)
            if len(self._buckets) > _MOST_BUCKETS:
                self._buckets.popitem(last=False)
        if tokens < 1:
            raise TooManyError("These are more requests than allowed.", ceil((1 - tokens) / self._per_second))


class Limits:
    """What each caller may ask for. A name is an account's id, or says which address it stands for."""

    def __init__(self, settings: Settings) -> None:
        self.places = settings.computations
        self._own_places = settings.account_computations
        self._requests = TokenBuckets(settings.requests_per_minute)
        self._changes = TokenBuckets(settings.changes_per_minute)
        self._sign_ins = TokenBuckets(_SIGN_INS_PER_MINUTE)
        self._forwarded_sign_ins = TokenBuckets(_FORWARDED_SIGN_INS_PER_MINUTE)
        self._taken = Places(settings.computations)
        self._looks = Places(_LOOKS)

    def count(self, name: str, *, changes: bool = False) -> None:
        """Raises `TooManyError` when this is one request too many."""
        self._requests.take(name)
        if changes:
            self._changes.take(name)

    def count_sign_in(self, address: str, *, is_forwarded: bool) -> None:
        """Raises `TooManyError` where an address, or all that proxies name together, try too many passwords.

        `is_forwarded`: a proxy named the address.
        """
        self._sign_ins.take(network_of(address))
        if is_forwarded:
            self._forwarded_sign_ins.take(_FORWARDED)

    def look(self, by: Requester) -> AbstractContextManager[None]:
        """Hold a place for a look that computes; raises what `place` does."""
        return _place(self._looks, by, _OWN_LOOKS)

    def place(self, by: Requester, most: int | None) -> AbstractContextManager[None]:
        """Hold a place to compute in, of `most` or the setting's; raises `TooManyError` or `BusyError` without one."""
        return _place(self._taken, by, self._own_places if most is None else most)


def _place(places: Places, by: Requester, most: int) -> AbstractContextManager[None]:
    def refused(refusal: Refusal) -> TooManyError:
        if refusal is Refusal.OWN:
            return TooManyError(f"{most} of your requests compute already.", _PLACE_SECONDS)
        return BusyError("The studio computes as much as it can.", _PLACE_SECONDS)

    return places.one(by, most, refused)
