"""A folder that a studio cannot work in is said with its setting and a remedy, before anything is written to it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.workers.startup.users import NOBODY, as_nobody, open_to_all, refused
from workers.database import Database
from workers.queue import JobQueue
from workers.startup.data_folder import check_data_folder, check_folder, clear_uploads, only_server_of


def test_a_folder_is_made_with_those_above_it(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    assert check_data_folder(folder) == folder
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("place", ["", "below", "runs", "datasets", "uploads"])
def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "data"
    in_the_way = folder if place in ("", "below") else folder / place
    in_the_way.parent.mkdir(exist_ok=True)
    in_the_way.write_text("precious")
    said = refused(lambda: check_data_folder(folder / "below" if place == "below" else folder))
    assert said == f"GIFT_DATA_DIR: {in_the_way} is a file and not a folder. Name a folder, or move that file away."
    assert in_the_way.read_text() == "precious"


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(tmp_path / "gone")
    assert "is a link that leads to no folder. Make that folder" in refused(
        lambda: check_data_folder(tmp_path / "data")
    )
    (tmp_path / "round").symlink_to(tmp_path / "round")
    assert "GIFT_DATA_DIR: " in refused(lambda: check_data_folder(tmp_path / "round"))


def test_a_place_that_takes_no_folder_is_named() -> None:
    assert "/proc/nowhere cannot be written to by user" in refused(lambda: check_data_folder(Path("/proc/nowhere")))


@pytest.mark.parametrize("locked", ["", "runs"])
def test_a_folder_of_another_user_is_named_with_the_user_that_needs_it(tmp_path: Path, locked: str) -> None:
    folder = tmp_path / "data"
    (folder / "runs").mkdir(parents=True)
    open_to_all(tmp_path)
    folder.chmod(0o777)
    (folder / locked).chmod(0o755)
    said = as_nobody(lambda: check_data_folder(folder))
    who = NOBODY if os.geteuid() == 0 else os.geteuid()
    assert said.startswith(f"GIFT_DATA_DIR: {folder / locked} cannot be written to by user {who}: Permission denied.")
    assert f"`sudo chown -R {who} {folder / locked}`" in said


@pytest.mark.parametrize("file", ["studio.sqlite3", "studio.lock", "queue.sqlite3"])
def test_a_file_that_may_only_be_read_is_named(tmp_path: Path, file: str) -> None:
    folder = tmp_path / "data"
    open_store(folder)
    open_to_all(tmp_path)
    folder.chmod(0o777)
    for path in folder.iterdir():
        path.chmod(0o666)
    (folder / file).chmod(0o444)
    said = as_nobody(lambda: open_store(folder))
    assert said.startswith(f"GIFT_DATA_DIR: {folder / file} cannot be written to by user ")
    assert "`sudo chown " in said


def open_store(folder: Path) -> None:
    Database.in_file(folder / "studio.sqlite3").close()
    JobQueue(folder / "queue.sqlite3").close()


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "full"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("a disk of its own can only be mounted by root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_named(full_disk: Path) -> None:
    with pytest.raises(OSError, match="space"), (full_disk / "filler").open("wb") as filler:
        filler.write(bytes(2**20))
    assert "There is no room left on the disk of" in refused(lambda: check_data_folder(full_disk))


def test_a_folder_has_one_server_at_a_time(tmp_path: Path) -> None:
    with only_server_of(tmp_path):
        said = refused(lambda: only_server_of(tmp_path).__enter__())
    assert f"GIFT_DATA_DIR: Another studio, process {os.getpid()}, runs in {tmp_path}." in said
    with only_server_of(tmp_path):
        pass


def test_another_setting_is_named_where_it_says_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    url = f"sqlite:///{tmp_path}/file/studio.sqlite3"
    assert refused(lambda: Database(url)).startswith(f"GIFT_STORE_URL: {tmp_path}/file is a file and not a folder.")
    assert refused(lambda: JobQueue(url)).startswith(f"GIFT_QUEUE_URL: {tmp_path}/file is a file and not a folder.")
    assert refused(lambda: check_folder(tmp_path / "file", "GRADIO_TEMP_DIR")).startswith("GRADIO_TEMP_DIR: ")


def test_only_uploads_below_the_data_folder_are_cleared(tmp_path: Path) -> None:
    (tmp_path / "uploads" / "one").mkdir(parents=True)
    (tmp_path / "datasets").mkdir()
    clear_uploads(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["datasets"]


def noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 40)


def cut_short(path: Path) -> None:
    Database.in_file(path).close()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def torn_page(path: Path) -> None:
    Database.in_file(path).close()
    content = bytearray(path.read_bytes())
    content[8192:12288] = b"\xff" * 4096
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [noise, cut_short, torn_page])
def test_a_damaged_store_is_named_and_left_as_it_is(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "studio.sqlite3"
    damage(path)
    before = path.read_bytes()
    said = refused(lambda: Database.in_file(path))
    assert said.startswith(f"GIFT_DATA_DIR: {path} is damaged: ")
    assert "Put a copy back in its place" in said
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["sqlite", "url"])
def test_the_store_of_another_program_is_left_as_it_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "studio.sqlite3"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE recipe (name TEXT)")
    before = path.read_bytes()
    said = refused(lambda: Database.in_file(path) if kind == "sqlite" else Database(f"sqlite:///{path}"))
    assert f"{path} holds the tables of another program." in said
    assert said.startswith("GIFT_DATA_DIR: " if kind == "sqlite" else "GIFT_STORE_URL: ")
    assert path.read_bytes() == before


def test_a_newer_store_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "studio.sqlite3"
    Database.in_file(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        before = list(connection.iterdump())
    assert "was written by a newer version of the studio. Update this one." in refused(lambda: Database.in_file(path))
    with closing(sqlite3.connect(path)) as connection:
        assert list(connection.iterdump()) == before


def test_store_and_queue_may_share_a_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/both.sqlite3"
    JobQueue(url).close()
    Database(url).close()
    JobQueue(url).close()
    Database(url).close()


def test_home_is_known_in_the_url_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Database("sqlite:///~/mine/studio.sqlite3").close()
    assert (tmp_path / "mine" / "studio.sqlite3").exists()
