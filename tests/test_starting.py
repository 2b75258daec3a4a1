"""What a person sees who starts the studio: a page where they asked for one, or what is wrong and what to do."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.serving import free_port

ROOT = Path(__file__).parents[1]
PLANTED = "planted-secret-of-a-test"


def environment(tmp_path: Path, **settings: str) -> dict[str, str]:
    with free_port() as free:
        port = str(free.getsockname()[1])
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("GIFT_", "GRADIO_"))}
    return plain | {"GIFT_PORT": port, "GIFT_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)} | settings


def started(command: list[str], settings: dict[str, str], cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=cwd, env=settings, capture_output=True, text=True, timeout=120
    )


def damaged(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 64)


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE recipe (name TEXT)")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"GIFT_HOST": "nowhere.invalid"}, "GIFT_HOST: This machine cannot find this host."),
        ({"GIFT_DATA_DIR": "/proc/nowhere"}, "GIFT_DATA_DIR: /proc/nowhere cannot be written to"),
        ({"GIFT_API_URL": f"http://me:{PLANTED}@studio"}, "GIFT_API_URL: An address must not hold a user"),
        ({"GIFT_STORE_URL": "sqlite:////proc/nowhere/x.db"}, "GIFT_STORE_URL: /proc/nowhere cannot be written to"),
        ({"GRADIO_TEMP_DIR": "/proc/nowhere"}, "GRADIO_TEMP_DIR: /proc/nowhere cannot be written to"),
        ({"GIFT_DEVICES": "cuda:77"}, "GIFT_DEVICES: This machine has no device cuda:77."),
    ],
)
def test_a_setting_that_cannot_be_used_is_said_with_a_remedy(
    tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    ended = started(["app.py"], environment(tmp_path, **settings))
    refused_with(ended, said)


@pytest.mark.parametrize(
    ("name", "prepare", "said"),
    [
        ("data", Path.touch, "is a file and not a folder. Name a folder"),
        ("data/studio.sqlite3", foreign, "holds the tables of another program."),
        ("data/studio.sqlite3", damaged, "is damaged: file is not a database. Put a copy back"),
    ],
)
def test_a_data_folder_that_cannot_be_used_is_said(
    tmp_path: Path, name: str, prepare: Callable[[Path], object], said: str
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    prepare(path)
    refused_with(started(["app.py"], environment(tmp_path)), f"GIFT_DATA_DIR: {path} {said}")


@pytest.mark.parametrize("command", [["-m", "gift_core", "worker", "--device", "cpu"], ["app.py", "keys", "list"]])
def test_commands_of_the_studio_say_so_too(tmp_path: Path, command: list[str]) -> None:
    path = tmp_path / "data" / "studio.sqlite3"
    path.parent.mkdir()
    damaged(path)
    ended = started(command, environment(tmp_path))
    assert (ended.returncode, ended.stdout) == (1, "")
    # A terminal's width cuts the message into lines.
    said = "".join(ended.stderr.split())
    assert f"GIFT_DATA_DIR:{path}isdamaged:fileisnotadatabase.Putacopyback" in said
    assert "Traceback" not in ended.stderr


def refused_with(ended: subprocess.CompletedProcess[str], said: str) -> None:
    first, why, *more = ended.stderr.splitlines()
    assert (ended.returncode, ended.stdout, first, more) == (1, "", "The studio was not started.", [])
    assert why.startswith(said)
    assert why.endswith((".", "7861")), "a remedy follows"
    assert PLANTED[:8] not in ended.stderr


@contextmanager
def running(settings: dict[str, str], url: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, str(ROOT / "app.py")], cwd=cwd, env=settings, stdout=subprocess.PIPE, text=True
    ) as studio:
        try:
            never = threading.Event()
            while not _answers(url):
                # On a busy machine it takes minutes.
                assert studio.poll() is None, f"the studio at {url} has ended"
                never.wait(0.2)
            yield studio
        finally:
            studio.terminate()
            studio.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_a_studio_starts_where_it_was_asked_to_and_keeps_what_it_is_sent(tmp_path: Path) -> None:
    """IPv6 in brackets, a folder below home, and a machine on which another user was the first to use Gradio."""
    (tmp_path / "gradio").write_text("of another user")
    written = {"GIFT_HOST": "[::1]", "GIFT_DATA_DIR": "~/studio", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    settings = environment(tmp_path, **written)
    url = f"http://[::1]:{settings['GIFT_PORT']}"
    with running(settings, url, tmp_path) as studio:
        assert studio.stdout is not None
        assert studio.stdout.readline() == f"GIFT Studio: {url} (Ctrl-C stops it)\n"
        for path in ("/", "/runs", "/api/v1/models"):
            assert httpx.get(f"{url}{path}", trust_env=False).is_success
        sent = {"files": ("rows.jsonl", b'{"prompt": "1+1?", "response": "2"}\n')}
        [kept] = httpx.post(f"{url}/gradio_api/upload", files=sent, trust_env=False).json()
        assert Path(kept).is_relative_to(tmp_path / "studio" / "uploads")
        with free_port() as free:
            other = settings | {"GIFT_PORT": str(free.getsockname()[1])}
        second = started(["app.py"], other)
        refused_with(second, f"GIFT_DATA_DIR: Another studio, process {studio.pid}, runs in {tmp_path}/studio.")
    assert not (tmp_path / "~").exists()
    with running(settings, url, tmp_path):
        assert not Path(kept).exists(), "a new server has no use for what the old one was sent"


def test_pages_alone_start_with_any_spelling_of_their_backend(tmp_path: Path) -> None:
    backend = environment(tmp_path)
    url = f"http://127.0.0.1:{backend['GIFT_PORT']}"
    with running(backend, url, tmp_path):
        pages = environment(tmp_path / "none", GIFT_API_URL=f" http://LOCALHOST:{backend['GIFT_PORT']}// ")
        (tmp_path / "none").mkdir()
        front = f"http://127.0.0.1:{pages['GIFT_PORT']}"
        with running(pages, front, tmp_path / "none"):
            assert httpx.get(f"{front}/api/v1/models", trust_env=False).json()[0]["name"] == "tiny"
    assert list((tmp_path / "none").iterdir()) == []
