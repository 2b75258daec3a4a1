"""A small Hub of data sets on this machine, which the real client asks: listings of commits, and files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from tests.serving import serve

COMMIT = "c0ffee" * 6 + "c0ff"
CONVERTED = "beefed" * 6 + "beef"
_NAMES = {"main": COMMIT, COMMIT: COMMIT, "refs/convert/parquet": CONVERTED, CONVERTED: CONVERTED}


class DataHub:
    """Serves the files below `folder`/commit/owner/name, and remembers what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fetched = folder, list[str]()
        self.app = FastAPI()
        self.app.get("/api/datasets/{owner}/{name}")(self.listing)
        self.app.get("/api/datasets/{owner}/{name}/revision/{revision:path}")(self.listing)
        self.app.api_route("/datasets/{owner}/{name}/resolve/{revision}/{file:path}", methods=["GET", "HEAD"])(
            self.file
        )

    def put(self, name: str, file: str, content: bytes, commit: str = COMMIT) -> None:
        path = self.folder / commit / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def listing(self, owner: str, name: str, revision: str = "main") -> Response:
        commit = _NAMES.get(revision)
        root = self.folder / str(commit) / owner / name
        if not (self.folder / COMMIT / owner / name).is_dir():
            return Response(status_code=401, headers={"X-Error-Code": "RepoNotFound"})
        if not root.is_dir():
            return Response(status_code=404, headers={"X-Error-Code": "RevisionNotFound"})
        files = [path for path in sorted(root.rglob("*")) if path.is_file()]
        siblings = [{"rfilename": path.relative_to(root).as_posix(), "size": self.size_of(path)} for path in files]
        body: dict[str, Any] = {"id": f"{owner}/{name}", "sha": commit, "siblings": siblings}
        return JSONResponse(body)

    def size_of(self, path: Path) -> int | None:
        """What a listing says of a file's size."""
        return path.stat().st_size

    def file(self, request: Request, owner: str, name: str, revision: str, file: str) -> Response:
        commit = _NAMES[revision]
        path = self.folder / commit / owner / name / file
        headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(path.read_bytes()).hexdigest()}"'}
        if request.method == "HEAD":
            return Response(headers=headers | {"Content-Length": str(path.stat().st_size)})
        self.fetched.append(file)
        return FileResponse(path, headers=headers)


@contextmanager
def serving_data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DataHub]:
    """The Hub, as the client of this process sees it; with an empty cache."""
    hub = DataHub(folder / "hub")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with serve(hub.app) as address:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
        template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield hub
