"""Checks the headers that name the host, the address and the caller of a request, before anything reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access.proxies import shown
from api.errors import problem_response
from gift_core.config.addresses import is_authority
from gift_core.config.headers import PROXY_HEADERS, is_plain
from gift_core.errors import Problem

_SCHEME = re.compile(r"[A-Za-z]{0,10}")
_HOST, _FORWARDED_HOST, _FORWARDED_PROTO = "host", "x-forwarded-host", "x-forwarded-proto"
_READ = ("authorization", *PROXY_HEADERS)


class WellFormed:
    """Refuses requests whose `Host`, `Authorization` or proxies' headers cannot be read, with 400.

    `Cookie` is not among them: other applications of the same host set cookies too. `Origin` is judged where it counts.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = _problem(Headers(scope=scope)) if scope["type"] in ("http", "websocket") else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await problem_response(400, "request", [problem])(scope, receive, send)


def _problem(headers: Headers) -> Problem | None:
    for value in headers.getlist(_HOST):
        # HTTP/1.0 and requests without a host have an empty one.
        if value and not is_authority(value):
            return _unreadable("Host", value, "Name a host, and a port if need be: studio.example:7860.")
    for name in _READ:
        if not all(map(is_plain, headers.getlist(name))):
            return Problem(f"The header {name} has characters other than plain ASCII.", remedy="Leave them out.")
    for value in _listed(headers, _FORWARDED_HOST):
        if not is_authority(value):
            return _unreadable("X-Forwarded-Host", value, "Have the proxy pass on the host that the browser named.")
    for value in _listed(headers, _FORWARDED_PROTO):
        if not _SCHEME.fullmatch(value):
            return _unreadable("X-Forwarded-Proto", value, "Have the proxy send http or https.")
    return None


def _listed(headers: Headers, name: str) -> Iterator[str]:
    for line in headers.getlist(name):
        yield from filter(None, (part.strip() for part in line.split(",")))


def _unreadable(name: str, value: str, remedy: str) -> Problem:
    return Problem(f"The header {name} cannot be read: {shown(value)}", remedy=remedy)
