"""Whether the client of a request still waits for the answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect


class Presence:
    """Follows one request's connection. Threads ask `require`, coroutines wait with `wait_for`."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._gone = threading.Event()
        self._listener: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Follow the connection during the block. The request's body is lost unless it was read before."""
        self._listener = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            self._listener.cancel()
            with suppress(asyncio.CancelledError):
                await self._listener

    def require(self) -> None:
        """Raise `ClientDisconnect` if the client has closed the connection."""
        if self._gone.is_set():
            raise ClientDisconnect

    async def wait_for(self, event: Coroutine[Any, Any, object]) -> None:
        """Wait for an event; raise `ClientDisconnect` if the client closes the connection first."""
        waiting = asyncio.ensure_future(event)
        others = {self._listener} if self._listener else set()
        try:
            await asyncio.wait({waiting, *others}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                self.require()
                # The connection can no longer be followed, which does not say that it was closed.
                await waiting
        finally:
            waiting.cancel()

    async def _listen(self) -> None:
        # A body that is still under way, and not wanted, can be late: that is no reason to fail here.
        with suppress(HTTPException):
            while (await self._request.receive())["type"] != "http.disconnect":
                pass
            self._gone.set()


async def _presence(request: Request) -> Presence:
    return Presence(request)


PresenceDependency = Annotated[Presence, Depends(_presence)]
