"""Accounts, API keys and the audit log."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.account_views import (
    AccountChanges,
    AccountView,
    AuditEntryView,
    AuditPage,
    KeyRequest,
    KeyView,
    NewKeyView,
)
from api.caller import Caller
from api.dependencies import StudioDependency
from api.errors import documented
from api.middleware.caching import NO_STORE
from api.owners import owner_of_key
from api.pages import TIME_PLACE, Cursor, Limit, Page, decode, page_of
from api.permissions import Action, ForbiddenError, allow
from gift_core.errors import SpecError
from workers.account_records import Account, ApiKey, Role, Source
from workers.accounts import LOCAL_ACCOUNT, named_account
from workers.studio import Studio

_DAY = 86_400

router = APIRouter(tags=["accounts"])


@router.get("/accounts", dependencies=[allow(Action.SEE_ACCOUNTS)], responses=documented(400))
def list_accounts(studio: StudioDependency, limit: Limit = 50, cursor: Cursor = None) -> Page[AccountView]:
    """Everybody who has signed in or has a key, the newest first."""
    found = studio.accounts.accounts(limit + 1, decode(cursor, TIME_PLACE))
    return page_of(found, limit, AccountView.from_record, lambda each: (each.created, each.id))


@router.patch("/accounts/{account_id}", responses=documented(400, 401, 403, 404))
def change_account(
    account_id: str,
    changes: AccountChanges,
    studio: StudioDependency,
    caller: Annotated[Caller, allow(Action.CHANGE_ACCOUNTS)],
) -> AccountView:
    """Change what is named: role, quotas, or whether it is disabled."""
    given = changes.model_dump(exclude_unset=True)
    locks_out = changes.disabled or given.get("role", Role.ADMIN) is not Role.ADMIN
    if locks_out and account_id in (caller.account_id, LOCAL_ACCOUNT):
        raise SpecError(
            "An admin cannot lock themselves or this machine out.", field="role", remedy="Let another admin do it."
        )
    return AccountView.from_record(studio.accounts.change(account_id, given))


@router.get("/keys", responses=documented(400))
def list_keys(
    studio: StudioDependency,
    caller: Annotated[Caller, allow(Action.SEE_KEYS)],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[KeyView]:
    """One's own keys, for admins everybody's; the newest first."""
    whose = None if caller.is_admin else caller.account_id
    found = studio.accounts.api_keys(whose, limit + 1, decode(cursor, TIME_PLACE))
    return page_of(found, limit, lambda key: _view(studio, key), lambda each: (each.created, each.prefix))


@router.post("/keys", status_code=201, responses=documented(400, 401, 403, 409))
def create_key(
    asked: KeyRequest,
    request: Request,
    response: Response,
    studio: StudioDependency,
    caller: Annotated[Caller, allow(Action.MAKE_KEYS)],
) -> NewKeyView:
    """Make a key for oneself; admins also for an account that they name. Its secret is in this answer only.

    One that is made in a session begun with the studio's secret ends with that secret: otherwise who has had the
    secret could stay for ever. `python app.py keys create` makes keys that outlive it.

    It takes no Idempotency-Key: the secret is kept nowhere, so a second answer could not have it. Where the answer was
    lost, revoke the key that was made, and make another.
    """
    if caller.key_prefix is not None:
        # Otherwise what a stolen key has made would outlive it.
        raise ForbiddenError(
            "A key does not make keys.", remedy="Sign in another way, or use `python app.py keys create`."
        )
    account = _account_for(studio, caller, asked)
    expires = time.time() + asked.expires_in_days * _DAY if asked.expires_in_days else None
    key, made = studio.accounts.create_key(account.id, asked.name, asked.scopes, expires, caller.session_id)
    request.state.thing = f"key {key.prefix} of {account.id}"
    response.headers["Cache-Control"] = NO_STORE
    return NewKeyView(**dict(_view(studio, key)), key=made.text)


@router.delete(
    "/keys/{prefix}", dependencies=[allow(Action.REVOKE_KEYS, owner_of_key)], responses=documented(401, 403, 404)
)
def revoke_key(prefix: str, studio: StudioDependency) -> KeyView:
    """End a key at once, and every session that was begun with it."""
    return _view(studio, studio.accounts.revoke(prefix))


@router.get("/audit", dependencies=[allow(Action.SEE_ACCOUNTS)], responses=documented(401, 403))
def list_audit(
    studio: StudioDependency,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[str | None, Query(pattern=r"^\d{1,18}$", description="`next` of the page before.")] = None,
    account: Annotated[str | None, Query(max_length=300, description="Only what this account did.")] = None,
) -> AuditPage:
    """What was done and what was refused."""
    found = studio.audit.page(limit + 1, int(cursor) if cursor else None, account)
    items = [AuditEntryView.from_record(entry) for entry in found[:limit]]
    return AuditPage(items=items, next=str(items[-1].id) if len(found) > limit else None)


def _view(studio: Studio, key: ApiKey) -> KeyView:
    has_ended = key.has_ended or not studio.accounts.has_its_secret(key)
    ends_with_secret = key.secret_mark is not None
    return KeyView.from_record(key).model_copy(update={"ends_with_secret": ends_with_secret, "has_ended": has_ended})


def _account_for(studio: Studio, caller: Caller, asked: KeyRequest) -> Account:
    if asked.account is None and asked.role is None:
        if caller.account_id == LOCAL_ACCOUNT:
            return studio.accounts.ensure(Source.LOCAL, "admin", "admin", Role.ADMIN)
        return studio.accounts.account(caller.account_id)
    if not caller.is_admin:
        raise ForbiddenError("Only admins make keys for others.", remedy="Leave out account and role.")
    return named_account(studio.accounts, asked.account or asked.name, asked.role)
