"""A studio with accounts, and callers of every kind."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from workers.access.identity import Identity
from workers.account_records import Account, Role, Scope, Source
from workers.accounts import AccountStore
from workers.settings import Settings
from workers.studio import Studio

SECRET = "the admin's own secret, 1"


@dataclass(frozen=True)
class Asker:
    """A kind of caller, and what the rules should make of it. `role` None: nobody who is known."""

    headers: dict[str, str]
    role: Role | None
    scopes: frozenset[Scope] = frozenset(Scope)
    invalid: bool = False


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


def askers_of(studio: Studio) -> dict[str, Asker]:
    """Callers of every kind, made in this studio, by name."""
    accounts = studio.accounts
    owner, visitor = person(accounts, "owner"), person(accounts, "visitor", Role.VISITOR)
    admin, gone = person(accounts, "admin", Role.ADMIN), person(accounts, "gone", Role.ADMIN)
    revoked, gone_key = key_of(accounts, owner), key_of(accounts, gone)
    accounts.revoke(revoked["Authorization"].split("_")[1])
    gone_session = session_of(accounts, gone)
    accounts.change(gone.id, {"disabled": True})
    return {
        "nobody": Asker({}, None),
        "visitor": Asker(session_of(accounts, visitor), Role.VISITOR),
        "owner": Asker(session_of(accounts, owner), Role.OWNER),
        "admin": Asker(session_of(accounts, admin), Role.ADMIN),
        "owner's full key": Asker(key_of(accounts, owner), Role.OWNER),
        "admin's full key": Asker(key_of(accounts, admin), Role.ADMIN),
        **{
            f"{role}'s key to {scope}": Asker(key_of(accounts, account, [scope]), role, frozenset({scope}))
            for (role, account), scope in product([(Role.OWNER, owner), (Role.ADMIN, admin)], Scope)
        },
        "revoked key": Asker(revoked, Role.OWNER, invalid=True),
        "expired key": Asker(key_of(accounts, owner, seconds=-1), Role.OWNER, invalid=True),
        "key of a disabled account": Asker(gone_key, Role.ADMIN, invalid=True),
        "key nobody made": Asker({"Authorization": f"Bearer gift_0123456789_{'a' * 43}"}, Role.ADMIN, invalid=True),
        "session of a disabled account": Asker(gone_session, None),
        "session nobody began": Asker({"Cookie": "gift_session=guessed"}, None),
    }
