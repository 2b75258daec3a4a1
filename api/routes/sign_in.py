"""Signing in and out with a browser."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs, urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from api.access.browsers import browser_name
from api.access.roles import role_of
from api.access.sign_in_page import sign_in_page, signed_in_page
from api.account_views import SessionView
from api.auth import is_forwarded, request_address, session_token
from api.caller import Caller
from api.cookies import set_cookie
from api.dependencies import ServicesDependency
from api.errors import documented
from api.oauth import SignInError
from api.owners import owner_of_session
from api.permissions import Action, allow, refusal_of
from api.rate_limits import TooManyError
from gift_core.config.headers import SESSION_COOKIE, STATE_COOKIE, cookie_token
from workers.access.identity import Identity
from workers.account_records import AuditEntry, BrowserSession, Role, Source
from workers.audit import REFUSED
from workers.secret_texts import same
from workers.studio import Studio

ADMIN = "admin"
_STATE_SECONDS = 600
_HOUR = 3600
# Sessions on the page; the API lists all.
_MOST_SHOWN = 50

router = APIRouter(tags=["accounts"])
# Pages and the ways to and from the Hub: for browsers, beside the API.
pages = APIRouter(include_in_schema=False)

Entering = Annotated[Caller, allow(Action.ENTER)]
Next = Annotated[str, Query(max_length=2000)]


@router.get("/session", responses=documented(401))
async def get_session(caller: Entering, services: ServicesDependency) -> SessionView:
    """Who asks, and what they may do."""
    settings = services.studio.settings
    return SessionView(
        account=caller.account_id,
        name=caller.name,
        role=caller.role,
        scopes=sorted(caller.scopes),
        may_look=caller.is_known or settings.is_public,
        has_accounts=settings.has_accounts,
        launch_refusal=refusal_of(Action.LAUNCH, caller, public=settings.is_public),
    )


@pages.get("/sign-in")
async def show(request: Request, caller: Entering, services: ServicesDependency, next: Next = "") -> Response:
    """The page to sign in on, or who is signed in already."""
    settings, destination = services.studio.settings, _local(next)
    if not settings.has_accounts:
        return RedirectResponse(_below(request, destination), 303)
    if caller.is_known:
        return await run_in_threadpool(_signed_in, request, caller, services.studio, destination)
    return _form(request, services.studio, destination)


@pages.post("/sign-in")
async def sign_in(request: Request, _: Entering, services: ServicesDependency) -> Response:
    """Take the admin's password or an API key, and give a session for it."""
    studio, address = services.studio, request_address(request, services.studio.settings)
    form = parse_qs((await request.body()).decode("utf-8", "replace"))
    given, destination = form.get("secret", [""])[0].strip(), _local(form.get("next", [""])[0])
    try:
        services.limits.count_sign_in(address, is_forwarded=is_forwarded(request))
    except TooManyError as error:
        answer = _form(request, studio, destination, str(error), 429)
        answer.headers.update(error.headers)
        return answer
    identity = await run_in_threadpool(_identify, studio, given)
    if identity is None:
        await _note(request, studio, "", REFUSED)
        return _form(request, studio, destination, "This is neither the password nor a valid key.", 401)
    return await _enter(request, studio, identity, destination)


@pages.post("/sign-out")
async def sign_out(request: Request, _: Entering, services: ServicesDependency) -> Response:
    """End this browser's session, everywhere its cookie may have got to."""
    studio = services.studio
    if token := session_token(request):
        ended = await run_in_threadpool(studio.accounts.sessions.close, token)
        if ended is not None:
            await _note(request, studio, ended.account_id, "done", "sign_out", f"session {ended.id}")
    answer = RedirectResponse(_below(request, "/sign-in"), 303)
    set_cookie(answer, request, studio.settings, SESSION_COOKIE, "", 0)
    return answer


@pages.post("/sign-in/sessions/{session_id}/end", dependencies=[allow(Action.END_SESSIONS, owner_of_session)])
async def end_session(session_id: str, request: Request, services: ServicesDependency) -> Response:
    """End a session of the list, and show the list again; who ends their own is asked to sign in."""
    await run_in_threadpool(services.studio.accounts.sessions.end, session_id)
    return RedirectResponse(_below(request, "/sign-in"), 303)


@pages.get("/oauth/login")
async def leave_for_hub(request: Request, _: Entering, services: ServicesDependency, next: Next = "") -> Response:
    """Send the browser to the Hub."""
    studio, destination = services.studio, _local(next)
    if not studio.settings.has_oauth:
        return RedirectResponse(_below(request, "/sign-in"), 303)
    address = request_address(request, studio.settings)
    services.limits.count_sign_in(address, is_forwarded=is_forwarded(request))
    try:
        provider, state = await services.hub_sign_in.begin(destination, _callback(request, studio))
    except SignInError as error:
        return _form(request, studio, destination, str(error), 502)
    answer = RedirectResponse(provider, 303)
    set_cookie(answer, request, studio.settings, STATE_COOKIE, state, _STATE_SECONDS)
    return answer


@pages.get("/oauth/callback")
async def return_from_hub(
    request: Request,
    _: Entering,
    services: ServicesDependency,
    code: Annotated[str, Query(max_length=2000)] = "",
    state: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Find out who the Hub says it is, and give a session for it."""
    studio, kept = services.studio, cookie_token(request.headers.get("cookie", ""), STATE_COOKIE) or ""
    try:
        person, destination = await services.hub_sign_in.finish(code, state, kept, _callback(request, studio))
    except SignInError as error:
        await _note(request, studio, "", REFUSED)
        return _form(request, studio, "/", str(error), 401)
    role = role_of(person, studio.settings)
    account = await run_in_threadpool(studio.accounts.ensure, Source.HUB, person.sub, person.preferred_username, role)
    if account.disabled:
        await _note(request, studio, account.id, REFUSED)
        return _form(request, studio, "/", "This account is disabled. An admin of this studio can say why.", 403)
    answer = await _enter(request, studio, Identity(account), destination)
    set_cookie(answer, request, studio.settings, STATE_COOKIE, "", 0)
    return answer


def _identify(studio: Studio, given: str) -> Identity | None:
    password = studio.settings.password
    if password is not None and same(given, password):
        admin = studio.accounts.ensure(Source.LOCAL, ADMIN, ADMIN, Role.ADMIN)
        return Identity(admin, by_secret=True)
    return studio.accounts.identify_key(given)


async def _enter(request: Request, studio: Studio, identity: Identity, destination: str) -> Response:
    seconds = studio.settings.session_hours * _HOUR
    token = await run_in_threadpool(
        studio.accounts.sessions.open,
        identity,
        seconds,
        address=request_address(request, studio.settings),
        browser=browser_name(request.headers.get("user-agent", "")),
        # Whatever this browser had is over. The new cookie is always a new one, never one that it came with.
        former=session_token(request),
    )
    await _note(request, studio, identity.account.id, "done")
    answer = RedirectResponse(_below(request, destination), 303)
    set_cookie(answer, request, studio.settings, SESSION_COOKIE, token, seconds)
    return answer


def _signed_in(request: Request, caller: Caller, studio: Studio, destination: str) -> Response:
    sessions = studio.accounts.sessions
    own = sessions.all(caller.account_id, _MOST_SHOWN + 1)
    others: list[BrowserSession] = []
    if caller.is_admin:
        others = sessions.all(limit=_MOST_SHOWN + 1, not_of=caller.account_id)
    return signed_in_page(
        _below(request, ""),
        _below(request, destination),
        caller.name,
        caller.role,
        current=caller.session_id,
        own=own,
        others=others,
        most=_MOST_SHOWN,
    )


async def _note(
    request: Request, studio: Studio, account_id: str, outcome: str, action: str = "sign_in", thing: str = ""
) -> None:
    entry = AuditEntry(
        account_id=account_id,
        action=action,
        thing=thing or request.url.path,
        outcome=outcome,
        request_id=request.state.request_id,
        address=request_address(request, studio.settings),
    )
    await run_in_threadpool(studio.audit.add, entry)


def _form(request: Request, studio: Studio, destination: str, problem: str = "", status: int = 200) -> Response:
    settings = studio.settings
    return sign_in_page(
        _below(request, ""),
        destination,
        urlencode({"next": destination}),
        has_password=settings.secret is not None,
        has_hub=settings.has_oauth,
        problem=problem,
        status=status,
    )


def _local(destination: str) -> str:
    """A path of this studio; "/" for anything that could lead elsewhere."""
    is_path = destination.startswith("/") and not destination.startswith("//")
    return destination if is_path and "\\" not in destination and destination.isprintable() else "/"


def _below(request: Request, path: str) -> str:
    return request.scope.get("root_path", "").rstrip("/") + path


def _callback(request: Request, studio: Studio) -> str:
    return f"{studio.settings.base_url or str(request.base_url).rstrip('/')}/oauth/callback"
