"""A proven account, and until when a proof counts."""

from __future__ import annotations

from dataclasses import dataclass

from workers.account_records import Account, ApiKey, Means, Scope


@dataclass(frozen=True)
class Identity:
    """An account and what proved it: a key, the studio's secret, or the Hub; and the session begun with that."""

    account: Account
    key: ApiKey | None = None
    by_secret: bool = False
    session_id: str | None = None

    @property
    def scopes(self) -> frozenset[Scope]:
        return frozenset(Scope) if self.key is None else frozenset(map(Scope, self.key.scopes))

    @property
    def means(self) -> Means:
        if self.key is not None:
            return Means.KEY
        return Means.SECRET if self.by_secret else Means.HUB


def is_valid(account: Account, key: ApiKey | None) -> bool:
    """Whether the account may be used, with this key if there is one."""
    return not account.disabled and (key is None or not key.has_ended)
