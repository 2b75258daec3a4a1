"""Requests of tabs that are older than the server, to Gradio's addresses: 404 in words in place of 500 and a traceback.

They name a session, an event, a function or a component that this server does not have: it was started again, or is
another version. Gradio looks such names up as if they were always there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import gradio as gr
from gradio import route_utils, routes
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gift_core.errors import Problem
from ui.gate import path_of
from ui.server.problems import refusal

_LOOK_UPS = frozenset(str(Path(module.__file__ or "")) for module in (routes, route_utils))
_SESSION = "/gradio_api/queue/data"
_EVENT = re.compile(r"/gradio_api/call/(?:v2/)?[^/]+/(?P<event>[^/]+)/?")


class StaleStreams:
    """Answers 404 to who waits for the events of a session that is not known; Gradio would begin a stream and fail."""

    def __init__(self, app: ASGIApp, *, demo: gr.Blocks) -> None:
        self._app = app
        self._demo = demo

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_stale = scope["type"] == "http" and scope["method"] == "GET" and self._is_stale(scope)
        await (_refusal() if is_stale else self._app)(scope, receive, send)

    def _is_stale(self, scope: Scope) -> bool:
        # The queue is asked for each time: Gradio puts another in its place.
        queue = self._demo._queue
        path = path_of(scope)
        if path == _SESSION:
            session = Request(scope).query_params.get("session_hash")
            return session is not None and session not in queue.pending_messages_per_session
        if named := _EVENT.fullmatch(path):
            event = named["event"]
            sessions = queue.pending_event_ids_session
            return not (
                event in queue.event_ids_to_events
                or event in queue.pending_messages_per_session
                or any(event in events for events in sessions.values())
            )
        return False


def exception_handlers() -> dict[type[Exception], Callable[[Request, Any], Response]]:
    """For Gradio's application: 404 where it did not find what a request names. Any other error stays what it is."""
    return {KeyError: _not_found, route_utils.FnIndexInferError: _not_found}


def _not_found(_: Request, error: Exception) -> Response:
    if error.__traceback__ is None or _file_of(error.__traceback__) not in _LOOK_UPS:
        raise error
    return _refusal()


def _file_of(traceback: TracebackType) -> str:
    """Where the error was raised."""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback.tb_frame.f_code.co_filename


def _refusal() -> Response:
    problem = Problem("The studio does not know what this page asks about any more.", remedy="Reload the page.")
    return refusal(404, "not_found", "There is no such thing", [problem])
