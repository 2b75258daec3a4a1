"""What every request leaves: an id, a line in the log, and a count."""

from __future__ import annotations

import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.request_metrics import RequestMetrics
from workers.logs import bound

logger = logging.getLogger(__name__)

REQUEST_ID = "X-Request-ID"
# What came from outside is repeated in logs and headers: nothing but this.
_SANE = re.compile(r"[A-Za-z0-9._:-]{1,100}")
# What is asked for so often that it would drown the rest.
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})


class RequestLog:
    """Gives each request an id, or keeps the one it came with, logs those below `prefix`, and counts all.

    Pages and their files are counted as one: the paths of what is no route of the API are anybody's invention.
    """

    def __init__(self, app: ASGIApp, *, prefix: str, metrics: RequestMetrics) -> None:
        self._app = app
        self._prefix = prefix
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity = _request_id(Headers(scope=scope).get(REQUEST_ID))
        answer = _Answer(send, identity, self._metrics)
        started = time.perf_counter()
        # For the answer to what nobody foresaw, which is made further outside.
        scope.setdefault("state", {})["request_id"] = identity
        with bound(request_id=identity):
            try:
                await self._app(scope, receive, answer.send)
            except Exception:
                logger.exception("%s failed", scope["method"])
                raise
            finally:
                answer.close()
                self._conclude(scope, answer, time.perf_counter() - started)

    def _conclude(self, scope: Scope, answer: _Answer, seconds: float) -> None:
        method, path, route = scope["method"], scope["path"], self._template(scope)
        # A stream lasts for as long as somebody watches: that is no latency.
        self._metrics.count(method, route, answer.status, None if answer.is_stream else seconds)
        if not path.startswith(self._prefix) and path not in _QUIET:
            return
        level = logging.DEBUG if path in _QUIET else logging.INFO
        # `repr` keeps line breaks and the like of a path out of the log.
        shown = repr(path)[1:-1]
        milliseconds = round(1000 * seconds, 1)
        details = {
            "method": method,
            "route": route,
            "path": shown,
            "status": answer.status,
            "duration_ms": milliseconds,
        }
        logger.log(level, "%s %s %d %.1f ms", method, shown, answer.status, milliseconds, extra=details)

    def _template(self, scope: Scope) -> str:
        """The route's path with its parameters unfilled, `other` for what is none of the API's."""
        path: str | None = getattr(scope.get("route"), "path", None)
        if path is None:
            return "other"
        # FastAPI says the path of a route within its router.
        outside = scope["path"].startswith(self._prefix) and not path.startswith(self._prefix)
        return self._prefix + path if outside else path


class _Answer:
    """What is sent back: it gets the id, and is looked at for its status. An exception before it begins is a 500."""

    def __init__(self, send: Send, identity: str, metrics: RequestMetrics) -> None:
        self.status = 500
        self.is_stream = False
        self._send = send
        self._identity = identity
        self._metrics = metrics

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID] = self._identity
            if headers.get("content-type", "").startswith("text/event-stream"):
                self.is_stream = True
                self._metrics.streams.inc()
        await self._send(message)

    def close(self) -> None:
        if self.is_stream:
            self._metrics.streams.dec()


def _request_id(given: str | None) -> str:
    return given if given and _SANE.fullmatch(given) else secrets.token_hex(8)
