"""Browser sessions: who is signed in where, and the way to end it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from api.account_views import BrowserSessionView
from api.caller import Caller
from api.dependencies import StudioDependency
from api.errors import documented
from api.owners import owner_of_session
from api.pages import TIME_PLACE, Cursor, Limit, Page, decode, page_of
from api.permissions import Action, allow
from workers.account_records import Scope

router = APIRouter(tags=["accounts"])


@router.get("/sessions", responses=documented(400))
def list_sessions(
    studio: StudioDependency,
    caller: Annotated[Caller, allow(Action.SEE_SESSIONS)],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[BrowserSessionView]:
    """The browsers that are signed in with one's own account, for admins everybody's; the newest first.

    A key of an admin needs the scope `admin` for those of others.
    """
    whose = None if caller.is_admin and Scope.ADMIN in caller.scopes else caller.account_id
    found = studio.accounts.sessions.all(whose, limit + 1, decode(cursor, TIME_PLACE))
    return page_of(found, limit, BrowserSessionView.from_record, lambda each: (each.created, each.id))


@router.delete(
    "/sessions/{session_id}",
    dependencies=[allow(Action.END_SESSIONS, owner_of_session)],
    responses=documented(401, 403, 404),
)
def end_session(session_id: str, studio: StudioDependency) -> BrowserSessionView:
    """End a session at once: its browser has to sign in again. Streams that it has open end within seconds.

    Keys that were made in it are not ended with it; they are in the list of keys.
    """
    return BrowserSessionView.from_record(studio.accounts.sessions.end(session_id))
