"""Whatever a data folder has become, a start says what is in the way, with its setting and what mends it."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from app import claim_folders
from tests.workers.startup.users import NOBODY, as_nobody, open_to_all, refused
from workers.settings import Settings
from workers.startup.data_folder import check_data_folder, keep_files_private, only_server_of, warn_of_readers
from workers.studio import Studio

FOLDERS = ("datasets", "traces", "rates", "uploads", "runs", "evaluations", "exports")
FILES = ("studio.sqlite3", "queue.sqlite3", "studio.lock", "queue.lock", "server.lock", ".housekeeping.lock")


@pytest.fixture(autouse=True)
def uploads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start says where Gradio keeps files, for the whole process."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    monkeypatch.delenv("GRADIO_TEMP_DIR")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of a studio that has been started before."""
    folder = tmp_path / "data"
    start(folder)
    return folder


def start(folder: Path) -> None:
    """What happens before a page is served."""
    settings = Settings(data_dir=folder, embedded_worker=False)
    with ExitStack() as held:
        claim_folders(settings, held)
        Studio(settings).close()


def clear(path: Path) -> Path:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    return path


@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_in_the_place_of_a_folder(data: Path, name: str) -> None:
    clear(data / name).write_text("precious")
    said = refused(lambda: start(data))
    assert said.startswith(f"GIFT_DATA_DIR: {data / name} is a file and not a folder. Name a folder")
    assert (data / name).read_text() == "precious"


@pytest.mark.parametrize("name", [*FILES, "studio.sqlite3-wal", "queue.sqlite3-shm"])
def test_a_folder_in_the_place_of_a_file(data: Path, name: str) -> None:
    clear(data / name).mkdir()
    (data / name / "precious").touch()
    assert refused(lambda: start(data)).startswith(
        f"GIFT_DATA_DIR: {data / name} is a folder and not a file. Move it away, or name another folder."
    )
    assert (data / name / "precious").exists()


@pytest.mark.parametrize("name", FILES)
def test_a_pipe_a_socket_or_a_link_to_nowhere_in_the_place_of_a_file(data: Path, name: str, tmp_path: Path) -> None:
    os.mkfifo(clear(data / name))
    assert f"{data / name} is a pipe and not a file." in refused(lambda: start(data))
    clear(data / name).symlink_to(tmp_path / "gone" / "away")
    assert f"{data / name} is a link that leads to no file." in refused(lambda: start(data))
    with closing(socket.socket(socket.AF_UNIX)) as server:
        here = Path.cwd()
        os.chdir(clear(data / name).parent)
        try:
            server.bind(name)
        finally:
            os.chdir(here)
        assert f"{data / name} is a socket and not a file." in refused(lambda: start(data))


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_leads_nowhere(data: Path, name: str, tmp_path: Path) -> None:
    clear(data / name).symlink_to(tmp_path / "gone" / "away")
    assert f"{data / name} is a link that leads to no folder." in refused(lambda: start(data))


@pytest.mark.parametrize("name", [*FILES, "studio.sqlite3-wal", "queue.sqlite3-shm"])
@pytest.mark.parametrize("mode", [0o444, 0o000])
def test_a_file_of_another_user(data: Path, name: str, mode: int) -> None:
    open_up(data)
    (data / name).touch()
    (data / name).chmod(mode)
    said = as_nobody(lambda: start(data))
    who = NOBODY if os.geteuid() == 0 else os.geteuid()
    assert said.startswith(f"GIFT_DATA_DIR: {data / name} cannot be written to by user {who}.")
    assert f"`sudo chown {who} {data / name}`" in said


@pytest.mark.parametrize("name", ["", *FOLDERS])
def test_a_folder_of_another_user(data: Path, name: str) -> None:
    open_up(data)
    (data / name).mkdir(exist_ok=True)
    (data / name).chmod(0o555)
    said = as_nobody(lambda: start(data))
    who = NOBODY if os.geteuid() == 0 else os.geteuid()
    assert f"{data / name} cannot be written to by user {who}: Permission denied." in said
    assert f"`sudo chown -R {who} {data / name}`" in said


def test_the_command_for_a_folder_with_a_space_can_be_pasted(tmp_path: Path) -> None:
    folder = tmp_path / "my data; rm"
    folder.mkdir()
    open_to_all(tmp_path)
    folder.chmod(0o555)
    assert f"chown -R {NOBODY if os.geteuid() == 0 else os.geteuid()} '{folder}'" in as_nobody(lambda: start(folder))


def test_nobody_is_told_to_take_a_folder_of_the_system(tmp_path: Path) -> None:
    for folder in ("/usr", "/etc"):
        said = as_nobody(lambda folder=folder: start(Path(folder)))
        assert said.startswith(f"GIFT_DATA_DIR: {folder} cannot be written to by user ")
        assert "chown" not in said
    (tmp_path / "locked").mkdir(mode=0o755)
    open_to_all(tmp_path)
    (tmp_path / "locked").chmod(0o555)
    said = as_nobody(lambda: start(tmp_path / "locked" / "deep" / "data"))
    assert f"`sudo install -d -m 700 -o {NOBODY if os.geteuid() == 0 else os.geteuid()} " in said
    assert "cannot be written to by user" in as_nobody(lambda: start(Path("/proc/nowhere/data")))


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "read only"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("a file system of its own can only be mounted by root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_read_only_file_system(read_only: Path) -> None:
    said = refused(lambda: start(read_only / "data"))
    assert f"{read_only}/data cannot be written to by user 0: Read-only file system. Mount that file system" in said


def test_noise_beside_the_databases_is_passed_over(data: Path) -> None:
    for name in ("studio.sqlite3", "queue.sqlite3"):
        (data / f"{name}-wal").write_bytes(os.urandom(200_000))
        (data / f"{name}-shm").write_bytes(os.urandom(32_768))
    start(data)


@pytest.mark.parametrize("content", [os.urandom(100_000), b"\xff\xfe", b"-1\n", b"9" * 4000, b""])
def test_a_lock_with_anything_in_it(data: Path, content: bytes) -> None:
    (data / "server.lock").write_bytes(content)
    start(data)
    with only_server_of(data):
        (data / "server.lock").write_bytes(content)
        with (data / "server.lock").open("r+b") as lock:
            lock.truncate(2**33)
        said = refused(lambda: start(data))
    assert "Another studio" in said
    assert len(said) < 400


def test_a_folder_is_made_for_its_user_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = os.umask(0o022)
    try:
        folder = check_data_folder(tmp_path / "data")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        warn_of_readers(folder)
        assert caplog.text == ""
        keep_files_private()
        start(folder)
        (folder / "runs").mkdir()
        made = [path for path in folder.rglob("*") if path.name != "server.lock"]
        assert len(made) > 3
        assert {path.name: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in made} == dict.fromkeys(
            (path.name for path in made), 0
        )
    finally:
        os.umask(before)


def test_a_folder_that_others_can_read_is_left_as_it_is_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o755)
    with caplog.at_level(logging.WARNING):
        start(folder)
    assert f"`chmod -R go-rwx {folder}`" in caplog.text
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def damaged(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 64)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def torn(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:8192] = b"\xff" * 4096
    path.write_bytes(content)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**33)


def of_another_layout(path: Path) -> None:
    clear(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE task (something TEXT)")


@pytest.mark.parametrize("damage", [damaged, cut_short, torn, huge, of_another_layout])
def test_a_damaged_queue_is_set_aside_and_made_anew(
    data: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    damage(data / "queue.sqlite3")
    (data / "queue.sqlite3-wal").write_bytes(b"not of the new file")
    size = (data / "queue.sqlite3").stat().st_size
    with caplog.at_level(logging.WARNING):
        start(data)
    (aside,) = data.glob("queue.sqlite3.damaged-*Z")
    assert aside.stat().st_size == size
    assert f"{data / 'queue.sqlite3'} was damaged and is set aside as {aside.name}; a new one is made." in caplog.text
    assert (data / f"{aside.name}-wal").exists() or damage is of_another_layout
    caplog.clear()
    start(data)
    assert caplog.messages == [message for message in caplog.messages if "damaged" not in message]


def test_a_damaged_store_is_named_with_what_saves_it_and_left_as_it_is(data: Path) -> None:
    damaged(data / "studio.sqlite3")
    (data / "studio.sqlite3-wal").write_bytes(b"committed, and not taken in yet")
    before = (data / "studio.sqlite3").read_bytes()
    said = refused(lambda: start(data))
    assert said.startswith(f"GIFT_DATA_DIR: {data / 'studio.sqlite3'} is damaged: file is not a database.")
    assert "Put a copy back in its place" in said
    assert f"`sqlite3 {data / 'studio.sqlite3'} .recover > saved.sql`" in said
    assert (data / "studio.sqlite3").read_bytes() == before
    assert (data / "studio.sqlite3-wal").read_bytes() == b"committed, and not taken in yet"
    assert list(data.glob("*.damaged-*")) == []


def open_up(data: Path) -> None:
    """Let another user do everything here, where root runs the tests."""
    open_to_all(data.parent)
    for path in (data, *data.rglob("*")):
        path.chmod(0o777)
