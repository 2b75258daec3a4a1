"""Methods of the API's addresses: HEAD is GET without a body, OPTIONS lists them, another one is refused by name."""

from __future__ import annotations

import re

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import problem_response
from api.middleware.head_only import answer_by_head
from gift_core.errors import Problem

_HEAD, _OPTIONS = "HEAD", "OPTIONS"


class Methods:
    """Answers what the routes would leave to the pages, which take every address that has no route of its own.

    An address without any route is the pages' matter. An origin of another site is never allowed to read: OPTIONS says
    nothing about it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._routes: list[tuple[re.Pattern[str], frozenset[str]]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = self._allowed(scope) if scope["type"] == "http" else frozenset()
        if not allowed or (scope["method"] in allowed and scope["method"] != _HEAD):
            await self._app(scope, receive, send)
        elif scope["method"] == _HEAD and "GET" in allowed:
            await self._head(scope, receive, send)
        else:
            await _answer(scope["method"], allowed)(scope, receive, send)

    def _allowed(self, scope: Scope) -> frozenset[str]:
        """The methods of the routes at this address."""
        if self._routes is None:
            # Only now are all of them there.
            self._routes = _routes_of(scope["app"])
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        return frozenset().union(*(methods for pattern, methods in self._routes if pattern.match(path)))

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["method"] = "GET"
        try:
            await answer_by_head(self._app, scope, receive, send, _always)
        finally:
            # For the log.
            scope["method"] = _HEAD


def _routes_of(app: FastAPI) -> list[tuple[re.Pattern[str], frozenset[str]]]:
    routes = ((route.path, route.methods) for route in iter_route_contexts(app.routes))
    return [(compile_path(path)[0], frozenset(methods)) for path, methods in routes if path and methods]


def _answer(method: str, allowed: frozenset[str]) -> Response:
    all_methods = allowed | {_OPTIONS} | ({_HEAD} if "GET" in allowed else set())
    named = ", ".join(sorted(all_methods))
    if method == _OPTIONS:
        return Response(status_code=204, headers={"Allow": named})
    problem = Problem(f"This address does not take {method}.", remedy=f"It takes {named}.")
    answer = problem_response(405, "method_not_allowed", [problem])
    answer.headers["Allow"] = named
    return answer


def _always(_: Message) -> bool:
    return True
