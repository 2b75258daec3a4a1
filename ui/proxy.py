"""A front end apart from its backend: the browser's own requests are passed on to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

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
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        outgoing = backend.build_request(
            request.method,
            request.url.path,
            params=str(request.query_params),
            headers=headers | visitors.credentials(request),
            content=await _form(request) if request.method == "POST" else None,
        )
        try:
            answer = await backend.send(outgoing, stream=True)
        except httpx.TransportError:
            problem = {"message": "The backend does not answer.", "remedy": "Check GIFT_API_URL and try again."}
            body = {"code": "unreachable", "title": "Bad gateway", "status": 502, "problems": [problem]}
            return JSONResponse(body, 502, media_type="application/problem+json")
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
