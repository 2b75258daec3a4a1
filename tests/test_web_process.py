"""The web server as it is started for people: what needs torch is done beside it, and it stays small."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.services import wait_until
from tests.serving import free_port

ROOT = Path(__file__).parents[1]
CHECKING = b"workers.checking.process"
SMALL: dict[str, Any] = {"data": {"source": {"kind": "task", "examples": 16}, "held_out": 4}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, int]]:
    """The studio, and its process."""
    with free_port() as free:
        port = str(free.getsockname()[1])
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("GIFT_", "GRADIO_"))}
    data = tmp_path_factory.mktemp("data")
    settings = {"GIFT_PORT": port, "GIFT_DATA_DIR": str(data), "GIFT_EMBEDDED_WORKER": "false"}
    command = [sys.executable, str(ROOT / "app.py")]
    with subprocess.Popen(command, cwd=ROOT, env=plain | settings | {"PYTHONPATH": str(ROOT)}) as studio:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=300, trust_env=False) as client:
                never = threading.Event()
                while not is_up(client):
                    assert studio.poll() is None, "the studio has ended"
                    never.wait(0.2)
                yield client, studio.pid
        finally:
            studio.terminate()
            studio.wait()


def is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/models").is_success
    except httpx.TransportError:
        return False


def launch(client: httpx.Client, run: dict[str, Any], key: str) -> httpx.Response:
    return client.post("/experiments", json={"run": run}, headers={"Idempotency-Key": key})


def checking_of(server: int) -> int | None:
    """The process that checks for a server."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == server and CHECKING in (path / "cmdline").read_bytes():
                return int(path.name)
        except OSError:
            continue
    return None


def has_torch(process: int) -> bool:
    return "libtorch" in Path(f"/proc/{process}/maps").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_what_people_do_before_a_run_leaves_torch_out_of_the_server(server: tuple[httpx.Client, int]) -> None:
    client, process = server
    wait_until(lambda: checking_of(process) is not None, lambda: "nothing was started for the first launch")
    rows = b'{"prompt": "1+1?", "response": "2"}\n' * 3 + b'{"prompt": "%s", "response": "2"}\n' % (b"word " * 900)
    uploaded = client.post("/datasets", content=rows, params={"name": "rows.jsonl"})
    assert uploaded.status_code == 201, uploaded.text
    own = {"data": {"source": {"kind": "file", "dataset": uploaded.json()["id"]}, "held_out": 0}}
    assert launch(client, SMALL, "one").status_code == 201
    refused = launch(client, own, "two")
    assert refused.status_code == 422
    assert [problem["field"] for problem in refused.json()["problems"]] == ["row 4"]
    assert client.post("/preflights", json={"run": SMALL}).json()["ok"]
    looked = client.post("/preflights", json={"run": own}).json()["problems"]
    assert looked == refused.json()["problems"]
    for run in (SMALL, own):
        preview = client.post("/previews", json={"run": run, "start": 0, "rows": 2})
        assert len(preview.json()["examples"]) == 2, preview.text
    evaluation = client.post("/evaluations", json={"checkpoints": ["tiny"], "task": "sudoku", "lengths": [4096]})
    assert evaluation.status_code == 422
    for path in ("/models", "/presets", "/datasets", "/examples", "/checkpoints"):
        assert client.get(path).is_success, path
    assert not has_torch(process)
    checking = checking_of(process)
    assert checking
    assert has_torch(checking)


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_a_launch_finds_another_process_where_the_one_beside_was_killed(server: tuple[httpx.Client, int]) -> None:
    client, process = server
    wait_until(lambda: checking_of(process) is not None, lambda: "nothing was started for the first launch")
    first = checking_of(process)
    assert first
    os.kill(first, signal.SIGKILL)
    assert launch(client, SMALL, "three").status_code == 201
    second = checking_of(process)
    assert second not in (None, first)
