"""Who a request counts for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Standing(IntEnum):
    """Kinds of requesters. Each kind has its own round, so that many of one kind do not delay another."""

    ANONYMOUS = 0
    VISITOR = 1
    OWNER = 2
    ADMIN = 3


@dataclass(frozen=True)
class Requester:
    """An account, or the address of someone who is not signed in."""

    name: str
    standing: Standing

    @property
    def is_visitor(self) -> bool:
        """Whether it may not launch jobs, signed in or not."""
        return self.standing <= Standing.VISITOR

    @property
    def is_admin(self) -> bool:
        return self.standing is Standing.ADMIN


# The studio itself, and everyone who uses one without accounts.
STUDIO = Requester("", Standing.ADMIN)
