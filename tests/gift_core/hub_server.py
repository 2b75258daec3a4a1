"""A Hugging Face Hub of a few lines: it keeps what `huggingface_hub` uploads, over real HTTP."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Hub(ThreadingHTTPServer):
    """`repositories` maps a name to whether it is private, `files` a name to its files.

    `refused` maps a step (create, preupload, commit) to the status with which it is refused.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, bool] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.refused: dict[str, int] = {}
        self.authorisations: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        thread.join()
        hub.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.path.split("?")[0].split("/")[2:]
        if path == ["repos", "create"]:
            self._create(json.loads(body))
        elif path == ["validate-yaml"]:
            self._answer(200, {"errors": [], "warnings": []})
        else:
            _, owner, name, step, _ = path
            getattr(self, f"_{step}")(f"{owner}/{name}", body)

    def do_GET(self) -> None:
        path = self.path.split("?")[0].split("/")[2:]
        name = "/".join(path[1:3])
        if path[0] != "models" or name not in self.server.repositories:
            self._answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        elif len(path) == 3:
            self._answer(200, {"id": name, "private": self.server.repositories[name], "siblings": [], "tags": []})
        else:
            files = self.server.files[name]
            self._answer(200, [{"type": "file", "path": at, "size": 1, "oid": "0" * 40} for at in files])

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        exists = name in self.server.repositories
        if self._is_refused("create"):
            return
        if not exists:
            self.server.repositories[name] = wanted["visibility"] == "private"
            self.server.files[name] = {}
        self._answer(409 if exists else 200, {"url": f"{self.server.url}/{name}", "error": "exists"})

    def _preupload(self, name: str, body: bytes) -> None:
        if not self._is_refused("preupload"):
            # Everything goes into the commit itself; the storage for large files has a protocol of its own.
            files = [{"path": file["path"], "uploadMode": "regular"} for file in json.loads(body)["files"]]
            self._answer(200, {"files": [file | {"shouldIgnore": False, "oid": None} for file in files]})

    def _commit(self, name: str, body: bytes) -> None:
        if self._is_refused("commit"):
            return
        files = self.server.files[name]
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "deletedFile":
                del files[line["value"]["path"]]
            elif line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        commit = f"{self.server.url}/{name}/commit/{'1' * 40}"
        self._answer(200, {"success": True, "commitOid": "1" * 40, "commitUrl": commit})

    def _is_refused(self, step: str) -> bool:
        status = self.server.refused.get(step)
        if status:
            # A careless server: it repeats the token that it was sent.
            self._answer(status, {"error": f"{self.headers['Authorization']} will not do"})
        return status is not None

    def _answer(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
        self.server.authorisations.add(self.headers["Authorization"])
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""
