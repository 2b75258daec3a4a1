"""Streams of events: how many may be open, in all and of one caller. Each holds a connection until its client goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth import request_address
from api.caller import Caller
from api.errors import problem_response
from api.rate_limits import TooManyError
from api.serving.descriptors import most_streams
from gift_core.config.addresses import network_of
from workers.settings import Settings

_STREAM = "text/event-stream"
_RETRY_SECONDS = 10
# Of all places, for those who are not signed in where others are.
_SHARE_OF_VISITORS = 0.5


class StreamPlaces:
    """At most `most` at once, as many of one caller as it may have, and half of them of visitors together."""

    def __init__(self, most: int, most_own: int) -> None:
        self._most = most
        self._most_own = most_own
        self._most_of_visitors = max(1, int(most * _SHARE_OF_VISITORS))
        self._taken: Counter[str] = Counter()
        self._visitors = 0

    @contextmanager
    def one(self, name: str, *, is_visitor: bool, is_limited: bool) -> Iterator[None]:
        """A place until the block ends; raises `TooManyError` if none is left for this caller."""
        if is_limited and self._taken[name] >= self._most_own:
            raise _none_left(f"{self._taken[name]} streams of events are open for you already.")
        if self._taken.total() >= self._most or (is_visitor and self._visitors >= self._most_of_visitors):
            raise _none_left("The studio has as many streams of events as it can.")
        self._taken[name] += 1
        self._visitors += is_visitor
        try:
            yield
        finally:
            self._visitors -= is_visitor
            self._taken[name] -= 1
            if not self._taken[name]:
                del self._taken[name]


class StreamLimit:
    """Answers 429 in place of a stream of events for which no place is left, whichever address it comes from."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self.app = app
        self._settings = settings
        self._has_accounts = settings.has_accounts or settings.api_url is not None
        self._places = StreamPlaces(most_streams(settings.streams, settings.connections), settings.account_streams)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with ExitStack() as held:

            async def judged(message: Message) -> None:
                if message["type"] == "http.response.start" and _is_stream(message):
                    self._take_place(scope, held)
                await send(message)

            try:
                await self.app(scope, receive, judged)
            except _RefusedError as refused:
                response = problem_response(429, refused.error.code, refused.error.problems)
                response.headers.update(refused.error.headers)
                await response(scope, receive, send)

    def _take_place(self, scope: Scope, held: ExitStack) -> None:
        """Hold a place until the stream ends. Raises `_RefusedError`, for which the application has no handler."""
        request = Request(scope)
        # What the rule of a route has found out, where the request has come to one.
        _, caller = getattr(request.state, "audit", (None, None))
        if isinstance(caller, Caller):
            name, is_known, is_limited = caller.known_as, caller.is_known, caller.is_limited
        elif account := getattr(request.state, "account", ""):
            # What the pages' door has found out: Gradio's streams come to no route of the API.
            name, is_known, is_limited = account, True, True
        else:
            name = f"address {network_of(request_address(request, self._settings))}"
            is_known, is_limited = not self._has_accounts, self._has_accounts
        try:
            held.enter_context(self._places.one(name, is_visitor=not is_known, is_limited=is_limited))
        except TooManyError as error:
            raise _RefusedError(error) from None


class _RefusedError(Exception):
    def __init__(self, error: TooManyError) -> None:
        super().__init__(str(error))
        self.error = error


def _is_stream(message: Message) -> bool:
    return Headers(raw=message["headers"]).get("content-type", "").startswith(_STREAM)


def _none_left(message: str) -> TooManyError:
    return TooManyError(message, _RETRY_SECONDS, "Close tabs and programs that follow runs, or try again later.")
