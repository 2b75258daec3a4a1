"""The pages' door: who may not look is sent to sign in, and Gradio's own addresses are closed to them.

Every action goes through the backend, which judges it again. What is left to Gradio itself, such as taking a file
before a page asks for it, is judged here. Without an answer of the backend nobody is let through.
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote, urlencode

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.account_views import SessionView
from gift_core.errors import Problem
from ui.server.identity import Identities, NoAnswerError, NotAcceptedError
from ui.server.no_answer import no_answer
from ui.server.problems import refusal
from ui.visitor import Visitors, is_anonymous

# The backend's own, which have rules of their own, and files that are the same for everybody.
_OPEN = frozenset(
    {
        *("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/sign-in", "/sign-out"),
        *("/theme.css", "/favicon.ico", "/manifest.json"),
    }
)
_OPEN_BELOW = ("/api/", "/docs/files/", "/oauth/", "/components/", "/assets/", "/static/")
_UPLOAD = "/gradio_api/upload"


class Gate:
    """Asks the backend who a visitor is before a page or an address of Gradio's answers.

    `is_private`: the backend is known to turn everybody away who is not signed in, so it need not be asked about them.
    """

    def __init__(self, app: ASGIApp, identities: Identities, visitors: Visitors, *, is_private: bool) -> None:
        self._app = app
        self._identities = identities
        self._visitors = visitors
        self._is_private = is_private

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            async with self._identities:
                await self._app(scope, receive, send)
        elif _is_open(path_of(scope)):
            await self._app(scope, receive, send)
        else:
            await (await self._refusal(scope) or self._app)(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        """What is said to a visitor who may not do this; None for all others."""
        credentials = self._visitors.credentials(HTTPConnection(scope))
        if self._is_private and is_anonymous(credentials):
            return _turned_away(scope)
        try:
            session = await self._identities.identify(credentials)
        except NotAcceptedError as error:
            if error.status == 401:
                return _turned_away(scope)
            return refusal(error.status, "refused", HTTPStatus(error.status).phrase, error.problems, error.headers)
        except NoAnswerError:
            return no_answer(HTTPConnection(scope).headers)
        # For what counts requests: Gradio does not know who asks.
        HTTPConnection(scope).state.account = session.account
        may_pass = session.may_look and (not _is_upload(scope) or _may_upload(session))
        return None if may_pass else _turned_away(scope)


def _turned_away(scope: Scope) -> Response:
    if scope["type"] == "http" and "text/html" in HTTPConnection(scope).headers.get("accept", ""):
        query = scope["query_string"].decode("latin-1")
        here = quote(path_of(scope)) + (f"?{query}" if query else "")
        return RedirectResponse(f"{root_of(scope)}/sign-in?{urlencode({'next': here})}", 303)
    problem = Problem("This needs an account that may do it.", remedy="Sign in at /sign-in.")
    return refusal(401, "refused", HTTPStatus.UNAUTHORIZED.phrase, [problem])


def _may_upload(session: SessionView) -> bool:
    return session.role != "visitor" and "launch" in session.scopes


def _is_upload(scope: Scope) -> bool:
    return path_of(scope).startswith(_UPLOAD)


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(_OPEN_BELOW)


def path_of(scope: Scope) -> str:
    """The path within the studio."""
    path: str = scope["path"]
    return path.removeprefix(root_of(scope))


def root_of(scope: Scope) -> str:
    """The path under which the studio is served; mostly ""."""
    root: str = scope.get("root_path", "")
    return root.rstrip("/")
