"""A studio with accounts, and callers of every kind."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from workers.access.identity import Identity
from workers.account_records import Account, Role, Scope, Source
from workers.accounts import AccountStore
from workers.settings import Settings
from workers.studio import Studio

SECRET = "the admin's own secret, 1"


def secured_studio(directory: Path, **changes: Any) -> Studio:
    """Callers have to say who they are; limits are out of the way unless a test sets them."""
    generous = {"requests_per_minute": 1_000_000, "changes_per_minute": 1_000_000}
    return Studio(Settings(data_dir=directory, **{"secret": SECRET, **generous, **changes}))


def stop_the_clock(app: FastAPI) -> None:
    """No time passes for its limits: nobody is given more because a test takes long."""
    limits = app.state.services.limits
    for buckets in (limits._requests, limits._changes, limits._sign_ins):
        buckets._clock = lambda: 0.0


def person(accounts: AccountStore, name: str, role: Role = Role.OWNER) -> Account:
    return accounts.ensure(Source.HUB, f"id-of-{name}", name, role)


def session_of(accounts: AccountStore, account: Account) -> dict[str, str]:
    """The headers of a browser that is signed in."""
    return {"Cookie": f"gift_session={accounts.sessions.open(Identity(account), 3600)}"}


def key_of(
    accounts: AccountStore, account: Account, scopes: Collection[Scope] = tuple(Scope), seconds: float | None = None
) -> dict[str, str]:
    """The headers of a program with a key of these scopes."""
    expires = None if seconds is None else time.time() + seconds
    _, made = accounts.create_key(account.id, "test", scopes, expires)
    return {"Authorization": f"Bearer {made.text}"}
