"""The server fetches nothing from an address that a visitor gives. Gradio would, in three ways; all are closed here."""

from __future__ import annotations

import re
from typing import NoReturn

import gradio as gr
from gradio import processing_utils
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.schemas import ProblemDocument
from gift_core.errors import Problem

# `/gradio_api/proxy=…` and `/gradio_api/file=https://…` answer with what the address says.
_FETCHING = re.compile(r"/(proxy=|file[=/]\s*https?:)", re.IGNORECASE)
_REFUSAL = Problem("The studio fetches nothing from addresses.", remedy="Download it, and upload the file.")


class NoFetching:
    """Refuses the addresses under which Gradio fetches others."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _FETCHING.search(scope["path"]):
            document = ProblemDocument(code="forbidden", title="Forbidden", status=403, problems=[_REFUSAL])
            answer = JSONResponse(document.model_dump(mode="json"), 403, media_type="application/problem+json")
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def refuse_downloads() -> None:
    """An event's input that claims to be a file at an address is refused rather than downloaded.

    Gradio has no setting for this: every component takes such an input, and all download through this one function.
    """
    processing_utils.async_ssrf_protected_download = _refused


async def _refused(*_: object, **__: object) -> NoReturn:
    raise gr.Error(str(_REFUSAL), print_exception=False)
