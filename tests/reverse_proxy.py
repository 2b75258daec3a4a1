"""A reverse proxy of the kinds that stand in front of studios: what it passes on of a request's own address differs."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from tests.serving import serve_on

# Of one connection, not of a request.
_OWN = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "upgrade"})


@contextmanager
def reverse_proxy(
    listener: socket.socket, studio: str, *, keeps_host: bool, forwards: bool, scheme: str = "http"
) -> Iterator[str]:
    """Run a proxy on `listener` in front of the studio at the URL `studio`, and return the proxy's address.

    With `keeps_host` the proxy passes on the `Host` that the browser sent. Without it, it sends the studio's own host,
    which is nginx's default. With `forwards` it adds `X-Forwarded-For` with the browser's address and
    `X-Forwarded-Proto` with `scheme`.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with httpx.AsyncClient(base_url=studio, timeout=None, trust_env=False) as app.state.studio:
            yield

    async def forward(request: Request) -> StreamingResponse:
        client: httpx.AsyncClient = request.app.state.studio
        left_out = _OWN | (frozenset() if keeps_host else {"host"})
        headers = [(name, value) for name, value in request.headers.items() if name not in left_out]
        if forwards:
            peer = request.client.host if request.client else ""
            headers += [("x-forwarded-for", peer), ("x-forwarded-proto", scheme)]
        url = client.base_url.copy_with(raw_path=request.scope["raw_path"] + _query(request))
        answer = await client.send(
            client.build_request(request.method, url, headers=headers, content=_body(request)), stream=True
        )
        kept = [(name, value) for name, value in answer.headers.raw if name.lower().decode() not in _OWN]
        passed = StreamingResponse(_closing(answer), answer.status_code)
        passed.raw_headers = kept
        return passed

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    app.add_api_route("/{path:path}", forward, methods=methods)
    with serve_on(listener, app) as address:
        yield address


def _body(request: Request) -> AsyncIterator[bytes] | None:
    return None if request.method in ("GET", "HEAD") else request.stream()


async def _closing(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    finally:
        await answer.aclose()


def _query(request: Request) -> bytes:
    query: bytes = request.scope["query_string"]
    return b"?" + query if query else b""
