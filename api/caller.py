"""Who asks, as everything behind the door sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gift_core.config.addresses import network_of
from workers.account_records import Role, Scope
from workers.fairness.requester import STUDIO, Requester, Standing

_STANDINGS = {Role.VISITOR: Standing.VISITOR, Role.OWNER: Standing.OWNER, Role.ADMIN: Standing.ADMIN}


@dataclass(frozen=True)
class Caller:
    """Who asks and what they may do at most. `account_id` is "" for a visitor who is not signed in."""

    account_id: str
    name: str
    role: Role
    scopes: frozenset[Scope] = frozenset(Scope)
    key_prefix: str | None = None
    session_id: str | None = None
    address: str = ""
    is_limited: bool = True
    quotas: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        return self.account_id != ""

    @property
    def is_admin(self) -> bool:
        return self.role is Role.ADMIN

    @property
    def requester(self) -> Requester:
        """Who its requests count for where requesters take turns."""
        if not self.is_limited:
            return STUDIO
        return Requester(self.known_as, _STANDINGS[self.role] if self.is_known else Standing.ANONYMOUS)

    def quota(self, name: str) -> int | None:
        """The account's own; None where the setting's holds."""
        return self.quotas.get(name)

    def key(self, given: str | None) -> str | None:
        """An idempotency key as it is stored: two people may think of the same one."""
        return None if given is None else f"{self.known_as}:{given}"

    @property
    def known_as(self) -> str:
        """Its account, or the network it asks from: what its requests are counted under, and its traces are."""
        return self.account_id or f"address {network_of(self.address)}"
