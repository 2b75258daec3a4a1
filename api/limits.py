"""How much a request may carry."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import problem_response
from gift_core.errors import Problem

MAX_JSON_BYTES = 1_000_000


class BodyLimit:
    """Refuses bodies above `limit` bytes under the prefixes, except on the paths that stream theirs."""

    def __init__(
        self, app: ASGIApp, *, prefix: str | tuple[str, ...], streamed: frozenset[str], limit: int = MAX_JSON_BYTES
    ) -> None:
        self.app = app
        self.prefix = prefix
        self.streamed = streamed
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._applies(scope):
            await self.app(scope, receive, send)
        elif declared_bytes(Headers(scope=scope)) > self.limit:
            response = problem_response(413, "too_large", [Problem(self._complaint())])
            await response(scope, receive, send)
        else:
            await self.app(scope, self._counting(receive), send)

    def _applies(self, scope: Scope) -> bool:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        return path.startswith(self.prefix) and path not in self.streamed

    def _counting(self, receive: Receive) -> Receive:
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.limit:
                raise HTTPException(413, self._complaint())
            return message

        return counted

    def _complaint(self) -> str:
        return f"The body is larger than {self.limit:,} bytes. Upload data as a data set instead."


class BodyTime:
    """Refuses bodies that come too slowly: whoever sends a byte now and then would hold a place for hours.

    Below `whole`, except on the paths that are `streamed`, a body has `seconds` in all; elsewhere each part of it has.
    """

    def __init__(self, app: ASGIApp, *, whole: tuple[str, ...], streamed: frozenset[str], seconds: float) -> None:
        self.app = app
        self.whole = whole
        self.streamed = streamed
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            receive = self._timed(receive, each_part=path in self.streamed or not path.startswith(self.whole))
        await self.app(scope, receive, send)

    def _timed(self, receive: Receive, *, each_part: bool) -> Receive:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.seconds
        complete = False

        async def timed() -> Message:
            nonlocal complete
            if complete:
                # What comes now is the news that the client has gone, and may take as long as an answer does.
                return await receive()
            try:
                async with asyncio.timeout_at(loop.time() + self.seconds if each_part else deadline):
                    message = await receive()
            except TimeoutError:
                detail = f"The body did not arrive within {self.seconds:g} s"
                # The rest of it is not waited for.
                raise HTTPException(408, detail, {"Connection": "close"}) from None
            complete = not message.get("more_body", False)
            return message

        return timed


def declared_bytes(headers: Headers) -> int:
    """The Content-Length, or 0 where the body comes in chunks of unknown number."""
    return int(headers.get("content-length", "0"))
