"""Who asks: told from an API key, a browser's session or, without accounts, from the fact that it is this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPBearer

from api.caller import Caller
from api.dependencies import ServicesDependency
from gift_core.config.addresses import canonical_ip, network_of
from gift_core.config.headers import SESSION_COOKIE, UNKNOWN, bearer_token, cookie_token
from gift_core.errors import GiftError
from workers.access.identity import Identity
from workers.account_records import Role, Scope
from workers.accounts import LOCAL_ACCOUNT, AccountStore
from workers.logs import note
from workers.settings import Settings

_ADVICE = "Sign in at /sign-in, or send `Authorization: Bearer` with an API key."


class UnauthenticatedError(GiftError):
    """Nobody is signed in, or the key or session that was sent is no longer valid."""

    code = "unauthenticated"
    headers: Mapping[str, str] = {"WWW-Authenticate": "Bearer"}


def request_address(request: Request, settings: Settings) -> str:
    """The IP address that a request comes from, or `unknown`: never a text of the sender's.

    The server has taken the peer's address from a proxy on this machine already. In front of a Space stands the Hub's,
    which puts the address that it saw last; those before it are whatever the visitor claims.
    """
    forwarded = request.headers.get("x-forwarded-for", "")
    if settings.space_id is not None and forwarded:
        found = canonical_ip(forwarded.rsplit(",", 1)[-1].strip())
    else:
        found = canonical_ip(request.client.host) if request.client else None
    return found or UNKNOWN


def is_forwarded(request: Request) -> bool:
    """Whether the address that the server counts a request under was named by a proxy."""
    named = request.headers.getlist("x-forwarded-for")
    return request.client is not None and any(request.client.host in line for line in named)


def session_token(request: Request) -> str | None:
    """The browser's session as its cookie has it; None if there is no cookie or it holds no token."""
    return cookie_token(request.headers.get("cookie", ""), SESSION_COOKIE)


def _given_key(request: Request) -> str | None:
    """The key that was sent, "" for one that is no token."""
    return bearer_token(request.headers.get("authorization", ""))


_bearer = HTTPBearer(auto_error=False, description="An API key.", scheme_name="key")
_cookie = APIKeyCookie(
    name=SESSION_COOKIE, auto_error=False, description="A browser that is signed in.", scheme_name="session"
)


def caller_of(
    request: Request,
    services: ServicesDependency,
    # For the API's description; both are read below.
    _key: Annotated[object, Depends(_bearer)],
    _session: Annotated[object, Depends(_cookie)],
) -> Caller:
    """Who asks, a visitor where nothing says so. Raises `UnauthenticatedError` for a key that is not valid."""
    settings, accounts = services.studio.settings, services.studio.accounts
    address = request_address(request, settings)
    if not settings.has_accounts:
        return Caller(LOCAL_ACCOUNT, "this machine", Role.ADMIN, address=address, is_limited=False)
    try:
        identity = _proven(accounts, request)
    except UnauthenticatedError:
        # Trying out keys is limited like everything else.
        services.limits.count(f"address {network_of(address)}")
        raise
    if identity is None:
        return Caller("", "visitor", Role.VISITOR, frozenset({Scope.READ, Scope.LAUNCH}), address=address)
    account = identity.account
    quotas = {name: getattr(account, name) for name in ("queued_runs", "upload_mb", "computations")}
    prefix = identity.key.prefix if identity.key else None
    note(account=account.id)
    return Caller(
        account.id,
        account.name,
        Role(account.role),
        identity.scopes,
        prefix,
        identity.session_id,
        address,
        quotas=quotas,
    )


def _proven(accounts: AccountStore, request: Request) -> Identity | None:
    if (key := _given_key(request)) is not None:
        identity = accounts.identify_key(key) if key else None
        if identity is None:
            raise UnauthenticatedError("This API key is not valid, or not any more.", remedy=_ADVICE)
        return identity
    token = session_token(request)
    # A session that is over is like none: the browser cannot take its cookie back by itself.
    return accounts.sessions.identify(token) if token else None


def is_still_proven(request: Request, accounts: AccountStore, caller: Caller) -> bool:
    """Whether what identified the caller when the request came still does. Nothing is written."""
    if (key := _given_key(request)) is not None:
        identity = accounts.find_key(key) if key else None
    else:
        found = accounts.sessions.find(session_token(request) or "")
        identity = found[1] if found else None
    return identity is not None and identity.account.id == caller.account_id


def require_known(caller: Caller, *, public: bool) -> None:
    """Raises `UnauthenticatedError` where visitors who are not signed in are not welcome."""
    if not caller.is_known and not public:
        raise UnauthenticatedError("Nobody is signed in.", remedy=_ADVICE)


CallerDependency = Annotated[Caller, Depends(caller_of)]
