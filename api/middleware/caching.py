"""What caches may keep: said on every answer, so that none has to guess."""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.conditional import CACHE_CONTROL, matches
from api.middleware.head_only import answer_by_head

NO_STORE = "no-store"
# The same for everybody, and another after an update.
_SHARED = "no-cache"
_SHARED_PATHS = ("/components/", "/assets/", "/static/", "/docs/files/", "/favicon.ico", "/theme.css")
# Gradio names these after their content.
_NAMED_AFTER_CONTENT = re.compile(r"/assets/.+[-.][A-Za-z0-9_-]{8,9}\.(js|css|woff2?|ttf|svg|png|wasm)")
_FOR_EVER = "public, max-age=31536000, immutable"


class Caching:
    """Adds `Cache-Control` to every answer that has none, and answers 304 for files that the client has already."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # As it is here: an application that is mounted changes it.
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        asked = Headers(scope=scope).get("if-none-match", "") if scope["method"] in ("GET", "HEAD") else ""

        def is_known(start: Message) -> bool:
            headers = MutableHeaders(scope=start)
            if "set-cookie" in headers:
                headers["cache-control"] = NO_STORE
            headers.setdefault("cache-control", _rule_of(path, start["status"]))
            tag = headers.get("etag")
            if start["status"] != 200 or tag is None or not asked or not matches(asked, tag):
                return False
            start["status"] = 304
            for name in ("content-length", "content-type", "content-encoding", "accept-ranges"):
                del headers[name]
            return True

        await answer_by_head(self._app, scope, receive, send, is_known)


def _rule_of(path: str, status: int) -> str:
    if status not in (200, 206, 304) or not path.startswith(_SHARED_PATHS):
        return CACHE_CONTROL
    return _FOR_EVER if _NAMED_AFTER_CONTENT.fullmatch(path) else _SHARED
