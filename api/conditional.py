"""Answers that a client has already are not sent again: a tag of the content, and 304 where it is the one it names."""

from __future__ import annotations

import hashlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A browser may keep an answer, for its user alone, and asks before it shows it again.
CACHE_CONTROL = "private, no-cache"
_TAGGED = ("application/json", "application/yaml")


class Conditional:
    """Adds an `ETag` to what is read below `prefix`, and answers `If-None-Match`.

    The tag is of the content, so it is right for whatever changes; what never does, such as a finished trace, costs no
    transfer after the first time. Streams and files pass through.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or not _is_below(scope, self._prefix):
            await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, _Tagging(Headers(scope=scope).get("if-none-match", ""), send))


def matches(asked: str, tag: str) -> bool:
    """Whether `If-None-Match` names the tag, by the weak comparison that it is meant for."""
    return asked.strip() == "*" or tag in (each.strip().removeprefix("W/") for each in asked.split(","))


class _Tagging:
    """Holds the start of an answer until its whole body is there, if that comes in one piece."""

    def __init__(self, asked: str, send: Send) -> None:
        self._asked = asked
        self._send = send
        self._start: Message | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_tagged(message):
            self._start = message
            return
        if self._start is not None:
            start, self._start = self._start, None
            if message["type"] == "http.response.body" and not message.get("more_body"):
                message = self._tag(start, message)
            await self._send(start)
        await self._send(message)

    def _tag(self, start: Message, message: Message) -> Message:
        body = message.get("body", b"")
        tag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
        headers = MutableHeaders(raw=start["headers"])
        headers["etag"] = tag
        headers.setdefault("cache-control", CACHE_CONTROL)
        if not matches(self._asked, tag):
            return message
        start["status"] = 304
        for name in ("content-length", "content-type"):
            del headers[name]
        return {"type": "http.response.body", "body": b""}


def _is_below(scope: Scope, prefix: str) -> bool:
    return bool(scope["path"].removeprefix(scope.get("root_path", "")).startswith(prefix))


def _is_tagged(start: Message) -> bool:
    kind = Headers(raw=start["headers"]).get("content-type", "")
    return start["status"] == 200 and kind.startswith(_TAGGED)
