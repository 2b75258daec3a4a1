"""Positions of a response as people write them."""

from __future__ import annotations

import re

from gift_core.errors import SpecError

_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
# More than the longest example has tokens: what comes with a link is not to fill the memory.
_MOST = 40_000


def parse_positions(text: str, field: str = "mask") -> list[int]:
    """Positions of `3,5-9`, ranges with both ends; raises `SpecError` about `field`."""
    positions: list[int] = []
    for part in text.split(","):
        found = _RANGE.fullmatch(part.strip())
        if not found:
            raise _no_position(f"{part.strip()!r} is no position.", field)
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise _no_position(f"{part.strip()} ends before it begins.", field)
        if len(positions) + last - first >= _MOST:
            raise _no_position("These are more positions than a response has.", field)
        positions += range(first, last + 1)
    return positions


def _no_position(message: str, field: str) -> SpecError:
    return SpecError(message, field=field, remedy="Write positions as 3,5-9.")
