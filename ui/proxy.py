"""A front end apart from its backend: the browser's own requests are passed on to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import httpx
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import StreamingResponse

from gift_core.config.headers import is_plain
from gift_core.errors import Problem
from ui.gate import root_of
from ui.server.problems import refusal
from ui.visitor import Visitors

_PASSED_ON = ("accept", "last-event-id", "content-type", "if-none-match")
_RETURNED = (
    "content-type",
    "cache-control",
    "content-disposition",
    "etag",
    "next-offset",
    "location",
    "retry-after",
    "www-authenticate",
)
_SIGNING_IN = ("/sign-in", "/sign-out", "/oauth/login", "/oauth/callback")
_MOST_FORM_BYTES = 10_000


def create_proxy(api_url: str, visitors: Visitors) -> FastAPI:
    """An application that answers GET requests below `/api/v1` with what the backend at `api_url` says.

    Only reading: charts, logs and specs; and signing in, which gives the browser the backend's cookie. Everything else
    that changes something goes through the front end's own client.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        timeout = httpx.Timeout(30, connect=5)
        async with httpx.AsyncClient(base_url=api_url, timeout=timeout, trust_env=False) as app.state.backend:
            yield

    async def forward(request: Request) -> Response:
        if ".." in request.path_params.get("path", "").split("/"):
            # httpx would resolve it, and what the backend serves beside its API is not for passing on.
            raise HTTPException(404)
        backend: httpx.AsyncClient = request.app.state.backend
        # What cannot be sent on as it came only asks for a form of the answer, and is left out.
        given = ((name, request.headers.get(name, "")) for name in _PASSED_ON)
        headers = {name: value for name, value in given if value and is_plain(value)}
        content = await _form(request) if request.method == "POST" else None
        try:
            outgoing = backend.build_request(
                request.method,
                backend.base_url.copy_with(raw_path=_address(backend.base_url, request)),
                headers=headers | visitors.credentials(request),
                content=content,
            )
            answer = await backend.send(outgoing, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError):
            problem = Problem("The backend does not answer.", remedy="Check GIFT_API_URL and try again.")
            return refusal(502, "unreachable", "Bad gateway", [problem])
        kept = {name: answer.headers[name] for name in _RETURNED if name in answer.headers}
        passed = StreamingResponse(_body(answer), answer.status_code, kept)
        for cookie in answer.headers.get_list("set-cookie"):
            passed.headers.append("set-cookie", cookie)
        return passed

    app = FastAPI(openapi_url=None, lifespan=lifespan)
    app.add_api_route("/api/v1/{path:path}", forward, methods=["GET"])
    for path in _SIGNING_IN:
        app.add_api_route(path, forward, methods=["GET", "POST"])
    app.add_api_route("/sign-in/sessions/{session_id}/end", forward, methods=["POST"])
    return app


def _address(backend: httpx.URL, request: Request) -> bytes:
    """Path and query at the backend, as the browser wrote them: decoded and written again they could be others."""
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    within = backend.raw_path.rstrip(b"/") + path.removeprefix(quote(root_of(request.scope)).encode())
    return within + b"?" + query if query else within


async def _form(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_FORM_BYTES:
            raise HTTPException(413)
    return body


async def _body(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_bytes():
            yield chunk
    finally:
        await answer.aclose()
