"""The pages' door: who may not look is sent to sign in, and Gradio's own addresses are closed to them.

Every action goes through the backend, which judges it again. What is left to Gradio itself, such as taking a file
before a page asks for it, is judged here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.account_views import SessionView
from api.schemas import ProblemDocument
from gift_core.errors import Problem
from ui.client import StudioClient
from ui.connection import StudioError
from ui.visitor import Visitors

# The backend's own, which have rules of their own, and files that are the same for everybody.
_OPEN = (
    *("/api/", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/sign-in", "/sign-out", "/oauth/"),
    *("/components/", "/assets/", "/static/", "/theme.css", "/favicon.ico", "/manifest.json"),
)
_UPLOAD = "/gradio_api/upload"


class Gate:
    """Asks the backend who a visitor is before a page or an address of Gradio's answers."""

    def __init__(self, app: ASGIApp, client: StudioClient, visitors: Visitors) -> None:
        self._app = app
        self._client = client
        self._visitors = visitors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or path_of(scope).startswith(_OPEN):
            await self._app(scope, receive, send)
            return
        refusal = await asyncio.to_thread(self._refusal, scope)
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        """What is said to a visitor who may not do this; None for all others."""
        try:
            session = self._client.acting_for(self._visitors.credentials(HTTPConnection(scope))).session()
        except StudioError as error:
            if error.status == 401:
                return _turned_away(scope)
            # A page without its backend says so itself; a file is for nobody then.
            return (
                None if error.status == 0 and not _is_upload(scope) else _problem(error.status or 502, error.problems)
            )
        if not session.may_look or (_is_upload(scope) and not _may_upload(session)):
            return _turned_away(scope)
        return None


def _turned_away(scope: Scope) -> Response:
    if scope["type"] == "http" and "text/html" in HTTPConnection(scope).headers.get("accept", ""):
        query = Request(scope).url.query
        here = path_of(scope) + (f"?{query}" if query else "")
        return RedirectResponse(f"{root_of(scope)}/sign-in?{urlencode({'next': here})}", 303)
    return _problem(401, [Problem("Nobody is signed in who may do this.", remedy="Sign in at /sign-in.")])


def _problem(status: int, problems: Sequence[Problem]) -> Response:
    phrase = HTTPStatus(status).phrase
    detail = "\n".join(map(str, problems))
    document = ProblemDocument(code="refused", title=phrase, status=status, problems=list(problems), detail=detail)
    return JSONResponse(document.model_dump(mode="json"), status, media_type="application/problem+json")


def _may_upload(session: SessionView) -> bool:
    return session.role != "visitor" and "launch" in session.scopes


def _is_upload(scope: Scope) -> bool:
    return path_of(scope).startswith(_UPLOAD)


def path_of(scope: Scope) -> str:
    """The path within the studio."""
    path: str = scope["path"]
    return path.removeprefix(root_of(scope))


def root_of(scope: Scope) -> str:
    """The path under which the studio is served; mostly ""."""
    root: str = scope.get("root_path", "")
    return root.rstrip("/")
