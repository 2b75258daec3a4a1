"""What the API says about accounts, keys and the audit log, and what is asked of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.views import Asked, View
from gift_core.section import Name as CleanName
from workers.account_records import Means, Role, Scope, Source

Name = Annotated[CleanName, Field(min_length=1, max_length=100, pattern=r"^[\w][\w .@-]*$")]
Quota = Annotated[int, Field(ge=0, le=1_000_000)]


class SessionView(View):
    """Who asks."""

    account: str = Field(description='Its id; "" for a visitor who is not signed in.')
    name: str
    role: Role
    scopes: list[Scope]
    may_look: bool = Field(description="Whether anything is shown to this caller at all.")
    has_accounts: bool = Field(description="Whether one can sign in; without accounts this machine is the admin.")
    launch_refusal: str = Field(
        "", description='Why this caller may not launch, and who can change that; "" if it may.'
    )


class AccountView(View):
    """A person or program."""

    id: str
    name: str
    source: Source
    role: Role
    created: float
    disabled: bool
    queued_runs: int | None
    upload_mb: int | None
    computations: int | None


class AccountChanges(Asked):
    """What of an account is to be changed; a quota of null is the setting's."""

    role: Role = Role.OWNER
    disabled: bool = False
    queued_runs: Quota | None = None
    upload_mb: Quota | None = None
    computations: Quota | None = None


class KeyRequest(Asked):
    """A key to be made."""

    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))] = Field([Scope.READ])
    expires_in_days: Annotated[float, Field(gt=0, le=3650)] | None = None
    account: Name | None = Field(
        None, description="A program or person without another way in, made where there is none; admins only."
    )
    role: Role | None = Field(None, description="Of an account that is made for it: owner when left out.")


class KeyView(View):
    """A key without its secret."""

    prefix: str
    account_id: str
    name: str
    scopes: list[Scope]
    created: float
    expires: float | None
    revoked: float | None
    last_used: float | None
    ends_with_secret: bool = Field(
        False, description="Whether it was made by a session begun with the studio's secret, and ends with that."
    )
    has_ended: bool = Field(False, description="Whether it is refused: revoked, expired, or made with a former secret.")


class NewKeyView(KeyView):
    """A key, with its secret for this once."""

    key: str = Field(description="Keep it: it is not shown again.")


class BrowserSessionView(View):
    """A browser that is signed in."""

    id: str
    account_id: str
    means: Means = Field(description="What it was begun with: the studio's secret, a key, or the Hub.")
    key_prefix: str | None = Field(description="Of the key that it was begun with.")
    created: float
    last_used: float = Field(description="To within a minute or so.")
    expires: float
    ended: float | None
    address: str = Field(description="Where it was begun.")
    browser: str = Field(description="What the browser calls itself, in short.")


class AuditEntryView(View):
    """Something that was done or refused."""

    id: int
    time: float
    account_id: str
    action: str
    thing: str
    outcome: str
    request_id: str
    address: str
    count: int = Field(description="How many times; like refusals of one hour are one entry.")
    last: float | None = Field(description="When the last of several was.")


class AuditPage(View):
    """Entries, the newest first."""

    items: list[AuditEntryView]
    next: str | None = Field(description="Pass it as `cursor` for older ones; null when there are none.")
