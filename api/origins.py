"""Pages of other sites must not be able to stop a training: browsers say where a request comes from; it is checked."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import problem_response
from gift_core.errors import Problem

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class SameOrigin:
    """Refuses requests below `prefix` that change something and come from a page of another host.

    Programs send no `Origin` and are not concerned.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._is_foreign(scope):
            problem = Problem("This request comes from a page of another site.", remedy="Use the studio's own pages.")
            await problem_response(403, "origin", [problem])(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_foreign(self, scope: Scope) -> bool:
        if scope["method"] in _SAFE or not scope["path"].startswith(self._prefix):
            return False
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        return origin is not None and urlsplit(origin).netloc != headers.get("host")
