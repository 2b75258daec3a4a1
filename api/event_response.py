"""Server-sent events over HTTP, with a sign of life where nothing happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import anyio
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, ServerSentEvent, format_sse_event
from starlette.types import Send

from api.conditional import CACHE_CONTROL

SILENCE_SECONDS = 15.0
# How soon a stream ends after what its client was identified by.
CHECK_SECONDS = 5.0
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

    def __init__(
        self, events: AsyncGenerator[ServerSentEvent, None], is_allowed: Callable[[], bool] | None = None
    ) -> None:
        """`is_allowed` is asked every few seconds, in a thread; the stream ends when it says no."""
        self._text = _written(events, is_allowed)
        super().__init__(self._text, headers=_HEADERS)

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self._text):
            await super().stream_response(send)


async def _written(
    events: AsyncGenerator[ServerSentEvent, None], is_allowed: Callable[[], bool] | None
) -> AsyncGenerator[bytes, None]:
    clock = asyncio.get_running_loop().time
    written = checked = clock()
    coming = asyncio.ensure_future(anext(events))
    try:
        while True:
            done, _ = await asyncio.wait([coming], timeout=min(CHECK_SECONDS, SILENCE_SECONDS))
            # Also where one event follows the other.
            if is_allowed is not None and clock() - checked >= CHECK_SECONDS:
                if not await run_in_threadpool(is_allowed):
                    return
                checked = clock()
            if not done:
                if clock() - written >= SILENCE_SECONDS:
                    yield KEEPALIVE_COMMENT
                    written = clock()
                continue
            try:
                event = coming.result()
            except StopAsyncIteration:
                return
            yield format_sse_event(data_str=event.raw_data, event=event.event, id=event.id)
            written = clock()
            coming = asyncio.ensure_future(anext(events))
    finally:
        # A client that goes away cancels this too; what was begun has to end all the same.
        with anyio.CancelScope(shield=True):
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
            await events.aclose()
