"""HTTP/1.1 with clients that have to get on: uvicorn waits for ever for a request's head, and for a client to read."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from api.serving.connections import Connections

# A client that has taken nothing of an answer for this long is not waited for.
UNREAD_SECONDS = 60.0
_FULL = b"The studio has as many connections as it can. Try again in a few seconds.\n"
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"content-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\n"
    b"retry-after: 5\r\n"
    b"connection: close\r\n"
    b"\r\n"
    b"%s" % (len(_FULL), _FULL)
)


class PatientProtocol(H11Protocol):
    """A connection that has `head_seconds` for the head of each request, and a place among `connections`."""

    def __init__(self, *, connections: Connections, head_seconds: float, **rest: Any) -> None:
        super().__init__(**rest)
        self._counted = connections
        self._head_seconds = head_seconds
        self._head_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._counted.admit(self, self.client[0] if self.client else None):
            self._follow()
        else:
            transport.write(_REFUSAL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._counted.remove(self)
        self._stop_waiting()
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._follow()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_watching()

    def drop(self) -> None:
        """Close it at once, whatever has not been sent."""
        self.transport.abort()

    def _follow(self) -> None:
        """Note whether it waits for a request. The rest of a body that was refused is not one."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._counted.works(self)
            self._stop_waiting()
        elif self._head_timer is None:
            self._counted.waits(self)
            self._head_timer = self.loop.call_later(self._head_seconds, self._end_waiting)

    def _end_waiting(self) -> None:
        self._head_timer = None
        if not self.transport.get_write_buffer_size():
            self.drop()
            return
        # The last answer is still being read, and the next head has its time after that.
        if self._unread_timer is None:
            self._watch_reading()
        self._follow()

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _watch_reading(self, before: int | None = None) -> None:
        """Drop a client that has read nothing since there were `before` bytes to read; look again later otherwise."""
        left = self.transport.get_write_buffer_size()
        if before is not None and left >= before:
            self.drop()
            return
        self._stop_watching()
        self._unread_timer = self.loop.call_later(UNREAD_SECONDS, self._watch_reading, left)

    def _stop_watching(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing here is a WebSocket: the request is answered as if it had not asked for one."""
