"""Server-sent events over HTTP, with a sign of life where nothing happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import anyio
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, ServerSentEvent, format_sse_event
from starlette.types import Send

from api.conditional import CACHE_CONTROL

SILENCE_SECONDS = 15.0
_TEXT = {"type": "string"}
# How a route that answers with one describes it.
DOCUMENTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events, until the client goes away.",
        "content": {
            EventSourceResponse.media_type: {
                "itemSchema": {"type": "object", "properties": {"event": _TEXT, "id": _TEXT, "data": _TEXT}}
            }
        },
    }
}
# Proxies pass on what they get, and keep nothing.
_HEADERS = {"Cache-Control": CACHE_CONTROL, "X-Accel-Buffering": "no"}


class EventResponse(EventSourceResponse):
    """Sends events as they come; when the client has gone, `events` is closed before anything else is done.

    FastAPI's own way, for a route that is a generator, passes each event through two more tasks, and logs a fault where
    a client goes away while one waits to be sent.
    """

    def __init__(self, events: AsyncGenerator[ServerSentEvent, None]) -> None:
        self._text = _written(events)
        super().__init__(self._text, headers=_HEADERS)

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self._text):
            await super().stream_response(send)


async def _written(events: AsyncGenerator[ServerSentEvent, None]) -> AsyncGenerator[bytes, None]:
    coming = asyncio.ensure_future(anext(events))
    try:
        while True:
            done, _ = await asyncio.wait([coming], timeout=SILENCE_SECONDS)
            if not done:
                yield KEEPALIVE_COMMENT
                continue
            try:
                event = coming.result()
            except StopAsyncIteration:
                return
            yield format_sse_event(data_str=event.raw_data, event=event.event, id=event.id)
            coming = asyncio.ensure_future(anext(events))
    finally:
        # Whoever went away has cancelled this too; what was begun is ended all the same.
        with anyio.CancelScope(shield=True):
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
            await events.aclose()
