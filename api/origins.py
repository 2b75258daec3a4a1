"""Pages of other sites must not be able to stop a training: browsers say where a request comes from; it is checked."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import problem_response
from gift_core.config.addresses import is_loopback
from gift_core.errors import Problem

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# What a browser says of a request that the studio's own page, or the user, has made.
_OWN_SITES = frozenset({"same-origin", "none"})


class SameOrigin:
    """Refuses requests that change something and come from a page of another host: pages, backend and Gradio alike.

    Programs send neither `Origin` nor `Sec-Fetch-Site` and are not concerned. `base_url` is the pages' address as
    browsers see it, where that is not the address that the server sees.
    """

    def __init__(self, app: ASGIApp, base_url: str | None = None) -> None:
        self._app = app
        self._public_host = urlsplit(base_url).netloc if base_url else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._is_foreign(scope):
            problem = Problem("This request comes from a page of another site.", remedy="Use the studio's own pages.")
            await problem_response(403, "origin", [problem])(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_foreign(self, scope: Scope) -> bool:
        if scope["method"] in _SAFE:
            return False
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is not None:
            return urlsplit(origin).netloc not in {headers.get("host"), self._public_host}
        return headers.get("sec-fetch-site", "none") not in _OWN_SITES


class LoopbackOnly:
    """Without accounts the studio answers only requests that are addressed to this machine, and come from it.

    A page anywhere can give a name of its own the address 127.0.0.1 (DNS rebinding) and is then no other site to the
    browser; the name stands in `Host`. A proxy that lets other machines in names them in `X-Forwarded-For`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not _is_local(Headers(scope=scope)):
            problem = Problem(
                "Without accounts the studio is for this machine alone, and this request is not from or not for it.",
                remedy="Open it as http://127.0.0.1, or set GIFT_SECRET to let others sign in.",
            )
            await problem_response(403, "not_local", [problem])(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _is_local(headers: Headers) -> bool:
    # The front end says in X-Forwarded-Host how its own page was addressed.
    hosts = [headers.get("host", ""), *_listed(headers, "x-forwarded-host")]
    names = [urlsplit(f"//{host}").hostname or "" for host in hosts]
    return all(map(is_loopback, [*names, *_listed(headers, "x-forwarded-for")]))


def _listed(headers: Headers, name: str) -> list[str]:
    return [part.strip() for line in headers.getlist(name) for part in line.split(",")]
