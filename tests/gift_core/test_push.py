"""Uploading to a Hub that speaks HTTP: what arrives, what is refused, and where the token never is."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from typer.testing import CliRunner

from gift_core.cli import app
from gift_core.credentials import hub_token
from gift_core.errors import SpecError, UploadError
from gift_core.push import repository_name, upload
from tests.gift_core.conftest import Here
from tests.serving import serve

TOKEN = "hf_planted0secret"


class SmallHub:
    """Keeps what is uploaded: `repositories` says which are private, `files` what is in them.

    `refused` maps a step (create, preupload, commit) to the status with which it is refused.
    """

    def __init__(self) -> None:
        self.url = ""
        self.repositories: dict[str, bool] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.refused: dict[str, int] = {}
        self.authorisations: set[str | None] = set()
        self.app = FastAPI()
        self.app.post("/api/repos/create")(self.create)
        self.app.post("/api/validate-yaml")(self.validate)
        self.app.get("/api/models/{owner}/{name}")(self.information)
        self.app.get("/api/models/{owner}/{name}/tree/main")(self.tree)
        self.app.post("/api/models/{owner}/{name}/preupload/main")(self.preupload)
        self.app.post("/api/models/{owner}/{name}/commit/main")(self.commit)

    async def create(self, request: Request) -> Response:
        wanted = await request.json()
        name = f"{wanted['organization']}/{wanted['name']}"
        exists = name in self.repositories
        if "create" not in self.refused and not exists:
            self.add(name, private=wanted["visibility"] == "private")
        return self.answer(request, {"url": f"{self.url}/{name}"}, "create", status=409 if exists else 200)

    def add(self, name: str, *, private: bool) -> None:
        self.repositories[name], self.files[name] = private, {}

    async def validate(self) -> Response:
        return JSONResponse({"errors": [], "warnings": []})

    async def information(self, owner: str, name: str) -> Response:
        private = self.repositories.get(f"{owner}/{name}")
        if private is None:
            return JSONResponse({"error": "none"}, 404, {"X-Error-Code": "RepoNotFound"})
        return JSONResponse({"id": f"{owner}/{name}", "private": private, "siblings": [], "tags": []})

    async def tree(self, owner: str, name: str) -> Response:
        files = self.files[f"{owner}/{name}"]
        return JSONResponse([{"type": "file", "path": path, "size": 1, "oid": "0" * 40} for path in files])

    async def preupload(self, request: Request) -> Response:
        # Everything goes into the commit itself: the storage of large files has a protocol of its own.
        asked = (await request.json())["files"]
        files = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in asked]
        return self.answer(request, {"files": files}, "preupload")

    async def commit(self, request: Request, owner: str, name: str) -> Response:
        for line in map(json.loads, (await request.body()).splitlines()):
            if line["key"] == "deletedFile":
                del self.files[f"{owner}/{name}"][line["value"]["path"]]
            elif line["key"] == "file":
                self.files[f"{owner}/{name}"][line["value"]["path"]] = b64decode(line["value"]["content"])
        address = f"{self.url}/{owner}/{name}/commit/{'1' * 40}"
        return self.answer(request, {"success": True, "commitOid": "1" * 40, "commitUrl": address}, "commit")

    def answer(self, request: Request, content: dict[str, Any], step: str, *, status: int = 200) -> Response:
        authorisation = request.headers.get("Authorization")
        self.authorisations.add(authorisation)
        if step in self.refused:
            # A careless server: it repeats the token that it was sent.
            return JSONResponse({"error": f"{authorisation} will not do"}, self.refused[step])
        return JSONResponse(content, status)


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that may reach the Hub, whatever the environment was when huggingface_hub was imported."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def hub() -> Iterator[SmallHub]:
    hub = SmallHub()
    with serve(hub.app) as address:
        hub.url = address
        yield hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# Card\n")
    (tmp_path / "model.safetensors").write_bytes(bytes(range(256)))
    return tmp_path


def test_an_upload_arrives_whole_in_a_new_repository(hub: SmallHub, folder: Path) -> None:
    address = upload(folder, "me/mine", private=True, token=TOKEN, endpoint=hub.url)
    assert address.startswith(f"{hub.url}/me/mine/commit/")
    assert hub.repositories == {"me/mine": True}
    assert hub.files["me/mine"] == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert hub.authorisations == {f"Bearer {TOKEN}"}


def test_another_layout_takes_the_place_of_the_one_before_and_leaves_the_rest(hub: SmallHub, folder: Path) -> None:
    upload(folder, "me/mine", private=False, token=TOKEN, endpoint=hub.url)
    hub.files["me/mine"]["notes.md"] = b"kept"
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    upload(folder, "me/mine", private=False, token=TOKEN, endpoint=hub.url)
    assert set(hub.files["me/mine"]) == {"README.md", "adapter_model.safetensors", "notes.md"}


def test_private_weights_do_not_go_where_all_can_see_them(hub: SmallHub, folder: Path) -> None:
    hub.add("me/open", private=False)
    with pytest.raises(UploadError, match="is public"):
        upload(folder, "me/open", private=True, token=TOKEN, endpoint=hub.url)
    assert hub.files["me/open"] == {}


@pytest.mark.parametrize(
    ("step", "status", "expected"),
    [
        ("create", 401, "does not accept the token"),
        ("create", 403, "may not write to me/mine"),
        ("create", 404, "knows no owner or repository"),
        ("preupload", 404, "knows no owner or repository"),
        ("commit", 409, "Run the command again"),
        ("commit", 403, "may not write to me/mine"),
        ("create", 418, "answered 418"),
    ],
)
def test_a_refusal_says_what_to_do_and_never_the_token(
    hub: SmallHub, folder: Path, step: str, status: int, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    hub.refused[step] = status
    with pytest.raises(UploadError, match=expected) as caught:
        upload(folder, "me/mine", private=False, token=TOKEN, endpoint=hub.url)
    assert caught.value.problems[0].remedy
    assert TOKEN not in str(caught.value) + caplog.text
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_without_a_connection_the_folder_is_pointed_to(folder: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(UploadError, match="did not go through") as caught:
            upload(folder, "me/mine", private=False, token=TOKEN, endpoint=nobody)
    assert "gift export" in str(caught.value)


@pytest.mark.parametrize(
    "name", ["mine", "me/mine/more", "me/mine@main", "me/..", "me/a--b", "../mine", "me/x.git", ""]
)
def test_a_name_the_hub_does_not_have_is_refused_before_anything_is_sent(name: str) -> None:
    with pytest.raises(SpecError) as caught:
        repository_name(name)
    assert caught.value.problems[0].field == "repository"


def test_the_token_comes_from_the_environment_and_not_from_a_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(UploadError, match="HF_TOKEN is not set"):
        hub_token()
    monkeypatch.setenv("HF_TOKEN", f" {TOKEN}\n")
    assert hub_token() == TOKEN


def test_gift_push_uploads_an_export_and_the_token_is_nowhere(hub: SmallHub, adapter_run: Path, tmp_path: Path) -> None:
    """In a process of its own, which reads its environment as a user's does."""
    shutil.copytree(adapter_run, tmp_path / "run")
    command = [sys.executable, "-m", "gift_core", "push", "run", "me/sums", "--private"]
    given = {"PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "200", "HOME": str(tmp_path)}
    given |= {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN}
    pushed = subprocess.run(command, cwd=tmp_path, env=given, capture_output=True, text=True, timeout=240, check=False)
    assert pushed.returncode == 0, pushed.stderr
    assert f"{hub.url}/me/sums/commit/" in pushed.stdout
    assert hub.repositories == {"me/sums": True}
    files = hub.files["me/sums"]
    assert files["adapter_model.safetensors"] == (tmp_path / "run/checkpoint/adapter_model.safetensors").read_bytes()
    assert b"PeftModel.from_pretrained(base, 'me/sums')" in files["README.md"]

    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    said = [text.encode() for text in (pushed.stdout, pushed.stderr)]
    assert not any(TOKEN.encode() in content for content in [*files.values(), *kept, *said])
    assert list((tmp_path / "run").glob(".push*")) == []


def test_a_dry_run_shows_every_file_and_asks_nobody(adapter_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a dry run opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    shown = CliRunner().invoke(app, ["push", str(adapter_run), "me/sums", "--private", "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert "me/sums (private" in shown.output
    size = (adapter_run / "checkpoint" / "adapter_model.safetensors").stat().st_size
    for said in ("adapter_model.safetensors", f"{size:,}", "README.md", "tokenizer.json", "gift-export.json"):
        assert said in shown.output


def test_gift_export_writes_the_layout_that_was_asked_for(adapter_run: Path, tmp_path: Path) -> None:
    target = str(tmp_path / "out")
    done = CliRunner().invoke(app, ["export", str(adapter_run), target, "--layout", "merged", "--dtype", "bf16"])
    assert done.output.endswith(f"{target}: merged\n")
    assert (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("push", "run", "me/sums"), "HF_TOKEN is not set"),
        (("push", "run", "sums", "--dry-run"), "owner/name"),
        (("push", "nowhere", "me/sums", "--dry-run"), "holds no run"),
    ],
)
def test_a_mistake_is_one_message_and_no_traceback(
    arguments: tuple[str, ...], expected: str, gift_here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    code, _, complaint = gift_here(*arguments)
    assert (code, "Traceback" in complaint) == (1, False)
    assert expected in complaint
