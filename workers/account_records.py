"""The tables of who may do what: accounts, their API keys and sessions, who made a thing, and what was done."""

from __future__ import annotations

import time
from enum import StrEnum

from sqlalchemy import JSON, Column
from sqlmodel import Field, SQLModel


class Role(StrEnum):
    """Visitors look, owners also make things and change their own, admins everything."""

    VISITOR = "visitor"
    OWNER = "owner"
    ADMIN = "admin"

    def reaches(self, needed: Role) -> bool:
        order = list(Role)
        return order.index(self) >= order.index(needed)


class Source(StrEnum):
    """How an account's person or program proves who it is."""

    LOCAL = "local"
    HUB = "hub"
    KEY = "key"


class Scope(StrEnum):
    """What an API key may be used for; never for more than its account's role allows."""

    READ = "read"
    LAUNCH = "launch"
    MANAGE = "manage"
    ADMIN = "admin"


class Means(StrEnum):
    """What a browser session was begun with."""

    SECRET = "secret"  # noqa: S105 (no password)
    KEY = "key"
    HUB = "hub"


class Account(SQLModel, table=True):
    """A person or program. The id says where it comes from: `local`, `hub:…` (the Hub's own number), `key:…`."""

    id: str = Field(primary_key=True)
    name: str
    source: str
    role: str
    created: float = Field(default_factory=time.time)
    role_is_set: bool = Field(default=False, description="Whether an admin gave the role: signing in leaves it then.")
    disabled: bool = False
    queued_runs: int | None = Field(default=None, description="Quota; the setting's when null.")
    upload_mb: int | None = Field(default=None, description="Quota; the setting's when null.")
    computations: int | None = Field(default=None, description="Quota; the setting's when null.")


class ApiKey(SQLModel, table=True):
    """A key without the key: `digest` recognises it, `prefix` finds it and tells a person which one it is.

    `secret_mark`: of the secret, if a session that was begun with it made the key. It ends when the secret changes.
    """

    __tablename__ = "api_key"

    prefix: str = Field(primary_key=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    name: str
    digest: str
    scopes: list[str] = Field(sa_column=Column(JSON, nullable=False))
    created: float = Field(default_factory=time.time)
    expires: float | None = None
    revoked: float | None = None
    last_used: float | None = None
    secret_mark: str | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it was revoked, or its time is over."""
        return self.revoked is not None or (self.expires is not None and self.expires <= time.time())


class BrowserSession(SQLModel, table=True):
    """A browser that is signed in. Ends with what it was begun with: the key, or the secret of `secret_mark`.

    `digest` recognises the cookie; `id` is not secret.
    """

    __tablename__ = "browser_session"

    digest: str = Field(primary_key=True)
    id: str = Field(unique=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    key_prefix: str | None = Field(default=None, foreign_key="api_key.prefix")
    means: str
    secret_mark: str | None = None
    created: float = Field(default_factory=time.time)
    expires: float
    ended: float | None = None
    last_used: float = Field(default_factory=time.time)
    address: str = ""
    browser: str = ""


class Ownership(SQLModel, table=True):
    """Who asked first for a thing that has no record of its own with a place for it: `trace/…`, `dataset/…`."""

    thing: str = Field(primary_key=True)
    account_id: str = Field(index=True)


class AuditEntry(SQLModel, table=True):
    """Something that was done, or that was refused. Like refusals of one hour are one entry."""

    __tablename__ = "audit_entry"

    id: int | None = Field(default=None, primary_key=True)
    time: float = Field(default_factory=time.time, index=True)
    account_id: str
    action: str
    thing: str
    outcome: str = Field(description="The HTTP status, or a word where there was no request.")
    request_id: str = ""
    address: str = ""
    count: int = Field(default=1, description="How many times; above 1 only for refusals.")
    last: float | None = Field(default=None, description="When the last of several was.")
    refusal: str | None = Field(default=None, unique=True, description="What like refusals share.")
