"""Pages of other sites must not be able to stop a training: browsers say where a request comes from; it is checked."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access.proxies import foreign_sign, shown
from api.errors import problem_response
from gift_core.config.addresses import same_authority
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
        self._public = base_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._is_foreign(scope):
            problem = self._problem(Headers(scope=scope))
            await problem_response(403, "origin", [problem])(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_foreign(self, scope: Scope) -> bool:
        if scope["method"] in _SAFE:
            return False
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "none") not in _OWN_SITES
        scheme, _, authority = origin.partition("://")
        own = (headers.get("host", ""), self._public.partition("://")[2].partition("/")[0] if self._public else "")
        return not any(same_authority(authority, each, scheme) for each in own)

    def _problem(self, headers: Headers) -> Problem:
        origin = shown(headers.get("origin", "another site"))
        host = shown(headers.get("host", "no host"))
        addressed = f"and was addressed to the host {host}"
        if self._public:
            addressed += f", and GIFT_PUBLIC_URL is {self._public}"
        is_address = "://" in origin
        return Problem(
            f"This request comes from a page of {origin}, {addressed}: the studio takes it for another site's.",
            remedy="If that page is the studio behind a proxy, start the studio with GIFT_PUBLIC_URL="
            f"{origin if is_address else 'the address that the browser shows'}, or have the proxy pass on Host. "
            "Otherwise open the studio's own pages.",
        )


class LoopbackOnly:
    """Without accounts the studio answers only requests that are addressed to this machine, and come from it.

    A page anywhere can give a name of its own the address 127.0.0.1 (DNS rebinding) and is then no other site to the
    browser; the name stands in `Host`. A proxy that lets other machines in names them, or itself, in one of several
    headers; one that sends none of them, and a `Host` of its own, cannot be told from a browser here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        foreign = foreign_sign(Headers(scope=scope)) if scope["type"] in ("http", "websocket") else ""
        if foreign:
            problem = Problem(
                f"Without accounts the studio is for this machine alone, and this request {foreign}.",
                remedy="Open it as http://127.0.0.1, or start it with GIFT_SECRET to let others sign in, and behind a "
                "proxy with GIFT_PUBLIC_URL as well.",
            )
            await problem_response(403, "not_local", [problem])(scope, receive, send)
        else:
            await self._app(scope, receive, send)
