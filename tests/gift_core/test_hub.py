"""Models of the Hub, fetched with the real client from a small Hub on this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from typer.testing import CliRunner

from gift_core.cli import app
from gift_core.errors import ModelError
from gift_core.models.adapters import add_lora
from gift_core.models.catalogue import HUB_MODELS, find_model, offered_models, pinned_name
from gift_core.models.hub import HubName, cached, download
from gift_core.models.loading import load_base, load_checkpoint
from gift_core.models.saving import save_checkpoint
from gift_core.spec import LoraSpec
from tests.gift_core import checkpoints
from tests.serving import serve

COMMIT = "c0ffee" * 6 + "c0ff"
KNOWN = HUB_MODELS[1].name


class SmallHub:
    """Serves the files of one folder as one model, and counts what is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, list[str]()
        self.app = FastAPI()
        self.app.get("/api/models/{owner}/{name}/revision/{revision}")(self.information)
        self.app.get("/api/models/{owner}/{name}/tree/{revision}")(self.tree)
        self.app.api_route("/{owner}/{name}/resolve/{revision}/{file}", methods=["GET", "HEAD"])(self.file)

    def information(self, owner: str, name: str, revision: str) -> Response:
        if name == "gated":
            return JSONResponse({"error": "gated"}, 403, {"X-Error-Code": "GatedRepo"})
        if f"{owner}/{name}" != KNOWN:
            return JSONResponse({"error": "none"}, 404, {"X-Error-Code": "RepoNotFound"})
        if revision not in ("main", COMMIT):
            return JSONResponse({"error": "none"}, 404, {"X-Error-Code": "RevisionNotFound"})
        return JSONResponse({"_id": "1", "id": KNOWN, "sha": COMMIT, "siblings": []})

    def tree(self, owner: str, name: str, revision: str) -> Response:
        files = [
            {"type": "file", "path": path.name, "size": path.stat().st_size, "oid": digest(path)}
            for path in sorted(self.folder.iterdir())
        ]
        return JSONResponse(files)

    def file(self, request: Request, owner: str, name: str, revision: str, file: str) -> Response:
        self.asked.append(file)
        path = self.folder / file
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{digest(path)}"'}
        if request.method == "HEAD":
            return Response(headers=headers | {"Content-Length": str(path.stat().st_size)})
        return FileResponse(path, headers=headers)


def digest(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    folder = checkpoints.write_llada(tmp_path / "remote")
    torch.save({}, folder / "pytorch_model.bin")
    hub = SmallHub(folder)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with serve(hub.app) as address:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
        template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield hub


def test_weights_and_no_code_are_fetched_and_the_commit_is_kept(hub: SmallHub, tmp_path: Path) -> None:
    assert KNOWN not in {entry.name for entry in offered_models()}
    folder = download(HubName(KNOWN))
    assert folder.name == COMMIT
    assert {Path(file).suffix for file in hub.asked} == {".safetensors", ".json", ".jinja"}
    assert not list(folder.glob("*.py")) + list(folder.glob("*.bin"))
    assert KNOWN in {entry.name for entry in offered_models()}
    assert find_model(KNOWN) == folder
    assert pinned_name(KNOWN) == f"{KNOWN}@{COMMIT}"
    hub.asked.clear()
    model = load_base(KNOWN)
    adapted = add_lora(model, LoraSpec(rank=2), pinned_name(KNOWN))
    save_checkpoint(replace(model, network=adapted), tmp_path / "adapter")
    assert load_checkpoint(tmp_path / "adapter").mask_id == model.mask_id
    assert not hub.asked


def test_the_command_line_says_that_it_downloads_and_which_commit_it_got(hub: SmallHub) -> None:
    result = CliRunner().invoke(app, ["download", KNOWN])
    assert result.output.splitlines()[-1] == f"{KNOWN}@{COMMIT}"
    hub.asked.clear()
    assert CliRunner().invoke(app, ["download", KNOWN]).output.strip() == f"{KNOWN}@{COMMIT}"
    assert not hub.asked


def test_a_download_that_was_cut_short_is_not_offered_and_goes_on(hub: SmallHub) -> None:
    folder = download(HubName(KNOWN))
    shard = sorted(folder.glob("*.safetensors"))[-1]
    shard.unlink()
    assert cached(HubName(KNOWN)) is None
    with pytest.raises(ModelError, match=f"gift download {KNOWN}"):
        find_model(KNOWN)
    assert download(HubName(KNOWN)) == folder
    assert shard.exists()


@pytest.mark.parametrize(
    ("name", "message", "remedy"),
    [
        ("some/gated", "some/gated is gated", "HF_TOKEN"),
        ("some/nothing", "The Hub has no model some/nothing", "HF_TOKEN"),
        (f"{KNOWN}@v2", "has no revision v2", "model's page"),
    ],
)
def test_a_refusal_of_the_hub_says_what_to_do(hub: SmallHub, name: str, message: str, remedy: str) -> None:
    hub_name = HubName.parse(name)
    assert hub_name
    with pytest.raises(ModelError, match=message) as caught:
        download(hub_name)
    assert remedy in caught.value.problems[0].remedy


def test_without_a_connection_the_error_says_what_to_do(hub: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="cannot be downloaded") as caught:
        download(HubName(KNOWN))
    assert "give its path" in caught.value.problems[0].remedy


def test_a_repository_with_pickled_weights_only_is_refused(hub: SmallHub) -> None:
    for file in hub.folder.glob("*.safetensors*"):
        file.unlink()
    with pytest.raises(ModelError, match="no weights in safetensors"):
        download(HubName(KNOWN))


def test_nothing_is_downloaded_unless_a_person_asks_for_it(hub: SmallHub) -> None:
    for admit in (False, True):
        with pytest.raises(ModelError, match="is not on this machine"):
            find_model(KNOWN, local_folders=admit)
    with pytest.raises(ModelError, match="no base model called"):
        find_model("some/other")
    assert not hub.asked


@pytest.mark.parametrize("name", ["tiny", "/etc", "../up", "a/b/c", "owner/", "owner/name@"])
def test_only_owner_and_name_are_a_hub_name(name: str) -> None:
    assert HubName.parse(name) is None
