"""A web server for one component: the static files, Plotly, an empty page, documents and a stream of events."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import plotly

STATIC = Path(__file__).parents[2] / "ui" / "static"
PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
PAGE = '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><body><div id="host"></div></body>'
TYPES = {".js": "text/javascript", ".css": "text/css"}


class Site(ThreadingHTTPServer):
    """Every connection to the stream gets all events from the first on, as after a reconnect."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.changed = threading.Condition()
        self.events: list[bytes] = []
        self.runs: list[dict[str, Any]] = []
        # Documents by their path below /api; what is not there is answered 404.
        self.documents: dict[str, Any] = {"session": {"account": "local"}}
        self.streams = 0
        self.drops = 0

    def publish(self, event: str, data: dict[str, Any], identity: str = "") -> None:
        with self.changed:
            self.events.append(f"event: {event}\nid: {identity}\ndata: {json.dumps(data)}\nretry: 100\n\n".encode())
            self.changed.notify_all()

    def drop_streams(self) -> None:
        with self.changed:
            self.drops += 1
            self.changed.notify_all()

    def wait_for_streams(self, count: int, timeout: float = 30) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: self.streams == count, timeout)

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that closes its page in the middle of a transfer is no error of this server."""


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.endswith("/events"):
            self._stream()
        elif path == "/api/runs":
            self._send(json.dumps({"items": self.server.runs, "next": None}).encode(), "application/json")
        elif path == "/":
            self._send(PAGE.encode(), "text/html")
        elif path == "/assets/plotly.min.js":
            self._send(PLOTLY.read_bytes(), TYPES[".js"])
        elif path.startswith("/api/"):
            self._document(self.path.removeprefix("/api/"))
        else:
            file = STATIC / Path(path).name
            self._send(file.read_bytes(), TYPES[file.suffix])

    def log_message(self, *args: object) -> None:
        """Requests are not worth a line in the tests' output."""

    def _document(self, path: str) -> None:
        found = self.server.documents.get(path)
        problems = {"problems": [{"field": "", "message": f"There is no {path}.", "remedy": "Check the link."}]}
        self._send(json.dumps(found or problems).encode(), "application/json", 200 if found else 404)

    def _send(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        site = self.server
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        with site.changed:
            sent, drops = 0, site.drops
            site.streams += 1
            site.changed.notify_all()
            try:
                while site.drops == drops:
                    # The comment is how a closed page is noticed.
                    self.wfile.write(b"".join(site.events[sent:]) or b": ping\n\n")
                    sent = len(site.events)
                    site.changed.wait(0.05)
            finally:
                site.streams -= 1
                site.changed.notify_all()
