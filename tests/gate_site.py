"""Addresses of the pages and of Gradio, credentials that no honest client sends, and backends that fail."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import httpx
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

PAGES = ["/", "/runs", "/queue", "/tokens", "/denoise", "/evaluate"]
GUARDED = [
    *(("GET", page) for page in PAGES),
    *(("GET", path) for path in ("/config", "/gradio_api/info", "/monitoring/summary", "/gradio_api/app_id")),
    ("GET", "/gradio_api/file=/etc/hostname"),
    ("GET", "/gradio_api/queue/data?session_hash=x"),
    ("GET", "/gradio_api/heartbeat/x"),
    ("GET", "/offline.html?trace=x"),
    ("GET", "/sign-in.html"),
    ("GET", "/healthz/../config"),
    ("POST", "/gradio_api/queue/join"),
    ("POST", "/gradio_api/call/_launch"),
    ("POST", "/gradio_api/run/predict"),
    ("POST", "/gradio_api/upload"),
]
# They prove nothing; libraries that read cookies make other values of some of them.
MALFORMED = [
    *(
        (b"Cookie", b"gift_session=" + value)
        for value in (
            b'"a\\012b"',
            b'" "',
            b'"\\351"',
            b"\xc3\xa9",
            b"a b",
            b"",
            b'"',
            b"guessed",
            b'"\\000"',
            b"%0d%0aX-Forwarded-For: 127.0.0.1",
            b"\x01",
            b"x" * 5000,
        )
    ),
    *((b"Cookie", b"gift_oauth=" + value) for value in (b'"\\015"', b'"\\000"')),
    (b"Cookie", b"gift_session"),
    (b"Cookie", b"\xff\xfe;;;=;gift_session==;"),
    (b"Authorization", b"Basic YTpi"),
    (b"Authorization", b""),
]
# With these somebody claims to be somebody, and is not.
INVALID_KEYS = [
    (b"Authorization", value) for value in (b"Bearer", b"Bearer a b", b'bearer "x"', b"Bearer " + b"x" * 900)
]
UNREADABLE = [
    (b"Authorization", b"Bearer \xc3\xa9"),
    (b"Authorization", b"\x01"),
    (b"Host", b"\xc3\xa9"),
    (b"Host", b"[::1"),
]


def ask(http: httpx.Client, method: str, path: str, headers: Any = ()) -> httpx.Response:
    """The head of an answer: some of Gradio's are streams without an end."""
    content: dict[str, Any] = {"json": {}} if method == "POST" else {}
    with http.stream(method, path, headers=list(dict(headers).items()) or None, **content) as answer:
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            answer.read()
        return answer


def gradio_addresses(app: FastAPI) -> list[tuple[str, str]]:
    """Method and path of everything that the pages' own application answers, parameters filled in."""
    mounted = next(route.app for route in app.routes if getattr(route, "path", None) == "")  # type: ignore[attr-defined]
    found = []
    for route in iter_route_contexts(mounted.routes):
        if route.path and route.methods:
            path = route.path.replace(":path}", "}").replace("{", "").replace("}", "")
            found += [(method, path) for method in sorted(route.methods - {"HEAD"})]
    return found


class FailingBackend:
    """A server that takes connections and answers them wrongly, as `mode` says."""

    _ANSWERS: ClassVar[dict[str, bytes]] = {
        "500": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
        "503": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        "a redirection": b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
        "another's page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<p>x",
        "another document": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
        "half an answer": b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"may_look": true',
        "no HTTP": b"\x00\x01\x02 hello\r\n\r\n",
        "nothing": b"",
    }
    MODES = (*_ANSWERS, "silence")

    def __init__(self) -> None:
        self.mode = "500"
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._held: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        # Wakes `accept`, which closing alone does not.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in self._held:
            connection.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError):
            connection.recv(65_536)
            if self.mode == "silence":
                self._held.append(connection)
                return
            connection.sendall(self._ANSWERS[self.mode])
        connection.close()


@contextmanager
def failing_backend() -> Iterator[FailingBackend]:
    """Until the block ends."""
    backend = FailingBackend()
    try:
        yield backend
    finally:
        backend.close()
