"""Addresses that lead nowhere: a page in words for whoever reads it, a document for programs."""

from __future__ import annotations

from html import escape

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.schemas import ProblemDocument
from gift_core.errors import Problem
from ui.gate import path_of, root_of

# Asked for by programs and by the pages themselves.
_OF_PROGRAMS = ("/api/", "/gradio_api/", "/components/", "/assets/", "/static/", "/openapi.json")
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>This page is not here · GIFT Studio</title>
<link rel="icon" href="{root}/components/favicon.svg">
<style>
:root {{ color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.5; }}
body {{ margin: 0; background: light-dark(#f8fafc, #0b0f19); color: light-dark(#1f2937, #f3f4f6); }}
main {{ box-sizing: border-box; max-width: 34rem; margin: 0 auto; padding: 14vh 1.25rem 2rem; }}
h1 {{ margin: 0 0 .5rem; font-size: 1.6rem; line-height: 1.25; }}
p {{ margin: 0 0 1rem; overflow-wrap: anywhere; }}
nav {{ display: flex; flex-wrap: wrap; gap: .5rem; }}
a {{ padding: .5rem 1rem; border: 1px solid #8894a8; border-radius: 6px; color: inherit; text-decoration: none; }}
a:hover {{ border-color: #2563eb; }}
a:focus-visible {{ outline: 3px solid #2563eb; outline-offset: 2px; }}
</style>
<main>
<h1>This page is not here</h1>
<p>Nothing in this studio has the address <b>{path}</b>. It may be mistyped, or belong to another version.</p>
<nav aria-label="Pages">{links}</nav>
</main>
</html>
"""
_LINKS = (
    *(("", "Launch"), ("runs", "Runs"), ("queue", "Queue")),
    *(("tokens", "Tokens"), ("denoise", "Denoise"), ("evaluate", "Evaluate")),
)


class NotFound:
    """Says in words that there is nothing at an address, where the routes say only that; and answers HEAD for pages."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_head = scope["method"] == "HEAD"
        # As it is here: an application that is mounted changes it.
        asked = dict(scope)
        if is_head and not path_of(asked).startswith(_OF_PROGRAMS):
            # The routes of pages know only GET.
            scope = {**scope, "method": "GET"}
        answer: Response | None = None

        async def worded(message: Message) -> None:
            nonlocal answer
            if message["type"] == "http.response.start" and _is_bare(message):
                answer = _answer(asked)
                await send({**message, "headers": answer.raw_headers})
            elif message["type"] == "http.response.body" and (is_head or answer is not None):
                body = b"" if is_head or answer is None else answer.body
                # Once, with the first part: what the routes say is left out.
                await send({"type": "http.response.body", "body": body, "more_body": message.get("more_body", False)})
                if answer is not None:
                    answer.body = b""
            else:
                await send(message)

        await self._app(scope, receive, worded)


def _is_bare(message: Message) -> bool:
    """Whether it is the answer of a router that found no route; what the API does not find it describes itself."""
    return message["status"] == 404 and MutableHeaders(scope=message).get("content-type") == "application/json"


def _answer(scope: Scope) -> Response:
    path = path_of(scope)
    accepted = HTTPConnection(scope).headers.get("accept", "*/*")
    if path.startswith(_OF_PROGRAMS) or not ("text/html" in accepted or "*/*" in accepted):
        problem = Problem(f"Nothing has the address {path}.", remedy="Check it; /docs lists what the API has.")
        document = ProblemDocument(code="not_found", title="There is no such thing", status=404, problems=[problem])
        return JSONResponse(document.model_dump(mode="json"), 404, media_type="application/problem+json")
    root = escape(root_of(scope))
    links = "".join(f'<a href="{root}/{address}">{title}</a>' for address, title in _LINKS)
    return HTMLResponse(_PAGE.format(root=root, path=escape(path[:200]), links=links), 404)
