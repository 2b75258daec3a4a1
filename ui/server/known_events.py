"""Events of the pages by name: one that no page has is not found, where Gradio fails with a traceback."""

from __future__ import annotations

import re
from collections.abc import Collection

import gradio as gr
from starlette.types import ASGIApp, Receive, Scope, Send

from gift_core.errors import Problem
from ui.gate import path_of
from ui.server.problems import refusal

_NAMED = re.compile(r"/+gradio_api/(?:run|api|call)/([^/]+)/?")
# Gradio lists what may be called so in its description, which names no event of the pages.
_LISTED = re.compile(r"/+gradio_api/call/v2/.*")
_REFUSAL = Problem("No page has an event of this name.", remedy="Programs use the API: /docs describes it.")


class KnownEvents:
    """Refuses requests for events that are none of `names`."""

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and self._is_unknown(path_of(scope)):
            await refusal(404, "not_found", "There is no such thing", [_REFUSAL])(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_unknown(self, path: str) -> bool:
        named = _NAMED.fullmatch(path)
        return _LISTED.fullmatch(path) is not None or (named is not None and named[1] not in self._names)


def event_names(demo: gr.Blocks) -> frozenset[str]:
    """Those by which Gradio knows the events of these pages."""
    return frozenset(str(event.api_name) for event in demo.fns.values() if event.api_name)
