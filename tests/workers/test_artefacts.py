"""Kept files come back as they were, or not at all, wherever they are kept."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gift_core.errors import GiftError
from tests.services import PASSWORD, S3Service
from workers.artefacts import Artefacts, ArtefactsMissing
from workers.locations import LocationError
from workers.remote_artefacts import ArtefactDamaged, ArtefactsUnavailable

FIRST = {"adapter.safetensors": b"\0" * 70_000, "trainer/state.json": b"{}", "empty": b"", "same.json": b"{}"}
SECOND = {"adapter.safetensors": b"\1" * 90_000, "trainer/state.json": b"{}", "new/deeper/file": b"new"}

Tamper = Callable[[Callable[[str, Any], None]], None]


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return f"file://{tmp_path}/shared/artefacts"
    server: S3Service = request.getfixturevalue("s3_server")
    place, _, options = server.url.partition("?")
    return f"{place}/{tmp_path.name}?{options}"


@pytest.fixture
def here(tmp_path: Path, url: str) -> Artefacts:
    """Of the host that does the work."""
    return Artefacts(tmp_path / "here", url)


@pytest.fixture
def there(tmp_path: Path, url: str) -> Artefacts:
    """Of another host, which has the URL and nothing else in common with it."""
    return Artefacts(tmp_path / "there", url)


def write(artefacts: Artefacts, files: dict[str, bytes], folder: str = "jobs/jo_1") -> Path:
    """Make the local folder hold these files and no others."""
    directory = artefacts.path(folder)
    for path in sorted(directory.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
    return directory


def read(directory: Path) -> dict[str, bytes]:
    found = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in found}


def objects(artefacts: Artefacts) -> list[str]:
    """Everything at the URL."""
    assert artefacts._remote is not None
    return sorted(artefacts._remote._files.find(artefacts._remote._base))


def test_another_host_sees_each_version_whole(here: Artefacts, there: Artefacts) -> None:
    assert not there.exists("jobs/jo_1")
    assert there.size("jobs/jo_1") == 0
    for files in (FIRST, SECOND, FIRST):
        write(here, files)
        here.keep("jobs/jo_1")
        assert read(there.bring("jobs/jo_1")) == files
        assert there.exists("jobs/jo_1")
        assert there.size("jobs/jo_1") == here.size("jobs/jo_1") == sum(map(len, files.values()))
    assert read(there.path("jobs").parent).keys() == {f"jobs/jo_1/{name}" for name in FIRST}


def test_a_part_of_one_file_is_read_without_the_others(here: Artefacts, there: Artefacts) -> None:
    assert there.read("jobs/jo_1", "job.log", None, 4) is None
    write(here, FIRST | {"job.log": b"one two three"})
    here.keep("jobs/jo_1")
    assert there.read("jobs/jo_1", "job.log", None, 5) == (b"three", 8)
    assert there.read("jobs/jo_1", "job.log", None, 100) == (b"one two three", 0)
    assert there.read("jobs/jo_1", "job.log", 4, 3) == (b"two", 4)
    assert there.read("jobs/jo_1", "job.log", 50, 3) == (b"", 50)
    assert there.read("jobs/jo_1", "other.log", 0, 3) is None
    assert not there.path("jobs/jo_1").exists()


def test_what_is_not_kept_is_replaced_and_what_was_brought_can_be_written_on(here: Artefacts, there: Artefacts) -> None:
    write(here, FIRST)
    here.keep("jobs/jo_1")
    write(here, SECOND)
    assert read(here.bring("jobs/jo_1")) == FIRST
    there.bring("jobs/jo_1")
    write(there, SECOND)
    there.keep("jobs/jo_1")
    assert read(here.bring("jobs/jo_1")) == SECOND


def test_only_changes_are_uploaded_and_nothing_old_stays(here: Artefacts, monkeypatch: pytest.MonkeyPatch) -> None:
    uploaded: list[Path] = []
    assert here._remote is not None
    upload = here._remote._upload
    monkeypatch.setattr(here._remote, "_upload", lambda source, key: (uploaded.append(source), upload(source, key)))
    directory = write(here, FIRST)
    here.keep("jobs/jo_1")
    # One of the two that are equal stands for both.
    assert len(uploaded) == len(FIRST) - 1
    uploaded.clear()
    here.keep("jobs/jo_1")
    assert uploaded == []
    write(here, SECOND)
    here.keep("jobs/jo_1")
    assert sorted(uploaded) == [directory / "adapter.safetensors", directory / "new/deeper/file"]
    assert len(objects(here)) == len(SECOND) + 1


def test_removed_folders_leave_nothing(here: Artefacts, there: Artefacts) -> None:
    for folder in ("jobs/jo_1", "jobs/jo_1/checkpoint", "jobs/jo_10"):
        write(here, FIRST, folder)
        here.keep(folder)
    there.bring("jobs/jo_1")
    there.remove("jobs/jo_1")
    there.remove("jobs/jo_1")
    assert not there.path("jobs/jo_1").exists()
    for folder, kept in (("jobs/jo_1", False), ("jobs/jo_1/checkpoint", False), ("jobs/jo_10", True)):
        assert here.exists(folder) == kept
    with pytest.raises(ArtefactsMissing):
        there.bring("jobs/jo_1")
    assert all("/jo_10/" in path for path in objects(here))


@pytest.mark.parametrize("damage", ["cut short", "changed", "gone", "manifest"])
def test_damage_is_noticed_and_leaves_the_local_copy(here: Artefacts, there: Artefacts, damage: str) -> None:
    write(here, FIRST)
    here.keep("jobs/jo_1")
    write(there, SECOND)
    assert here._remote is not None
    files = here._remote._files
    victim = next(path for path in objects(here) if path.endswith("manifest.json") == (damage == "manifest"))
    content = files.cat_file(victim)
    if damage == "gone":
        files.rm_file(victim)
    else:
        files.pipe_file(victim, content[: len(content) // 2] if damage != "changed" else b"\7" + content[1:])
        assert files.cat_file(victim) != content
    with pytest.raises(ArtefactDamaged) as found:
        there.bring("jobs/jo_1")
    assert found.value.problems[0].remedy
    assert read(there.path("jobs/jo_1")) == SECOND


def test_what_was_lost_at_the_url_is_uploaded_again(here: Artefacts, there: Artefacts) -> None:
    write(here, FIRST)
    here.keep("jobs/jo_1")
    assert here._remote is not None
    lost = [path for path in objects(here) if not path.endswith("manifest.json")]
    here._remote._files.rm_file(lost[0])
    here._remote._files.pipe_file(lost[1], b"short")
    here.keep("jobs/jo_1")
    assert read(there.bring("jobs/jo_1")) == FIRST


@pytest.mark.parametrize("after", range(4))
def test_an_upload_that_is_cut_off_changes_nothing(
    here: Artefacts, there: Artefacts, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Whatever it had come to: the files, or the manifest that would make them count."""
    write(here, FIRST)
    here.keep("jobs/jo_1")
    write(here, SECOND | {"third": b"3"})
    assert here._remote is not None
    done: list[None] = []

    def until_cut(action: Callable[..., None]) -> Callable[..., None]:
        def act(*arguments: Any) -> None:
            if len(done) == after:
                raise ConnectionResetError
            done.append(None)
            action(*arguments)

        return act

    with monkeypatch.context() as patched:
        patched.setattr(here._remote, "_upload", until_cut(here._remote._upload))
        patched.setattr(here._remote, "_write", until_cut(here._remote._write))
        with pytest.raises(ArtefactsUnavailable):
            here.keep("jobs/jo_1")
    assert read(there.bring("jobs/jo_1")) == FIRST
    here.keep("jobs/jo_1")
    assert read(there.bring("jobs/jo_1")) == SECOND | {"third": b"3"}


def test_a_version_that_is_replaced_while_it_is_read_gives_way_to_the_next(
    here: Artefacts, there: Artefacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here, FIRST)
    here.keep("jobs/jo_1")
    write(here, SECOND)
    assert there._remote is not None
    copy, replaced = there._remote._copy, []

    def replace_first(folder: str, found: Any, directory: Path) -> str:
        if not replaced:
            replaced.append(folder)
            here.keep("jobs/jo_1")
        return copy(folder, found, directory)

    monkeypatch.setattr(there._remote, "_copy", replace_first)
    assert read(there.bring("jobs/jo_1")) == SECOND


def test_a_killed_server_loses_no_version(
    s3_server: S3Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = (Artefacts(tmp_path / host, f"{s3_server.url}") for host in ("here", "there"))
    write(here, FIRST, "killed")
    here.keep("killed")
    write(here, SECOND, "killed")
    assert here._remote is not None
    upload, uploaded = here._remote._upload, []

    def kill_after_one(source: Path, key: str) -> None:
        if uploaded:
            s3_server.kill()
        upload(source, key)
        uploaded.append(key)

    with monkeypatch.context() as patched:
        patched.setattr(here._remote, "_upload", kill_after_one)
        began = time.monotonic()
        with pytest.raises(ArtefactsUnavailable) as lost:
            here.keep("killed")
    assert len(uploaded) == 1
    with pytest.raises(ArtefactsUnavailable):
        there.ping()
    assert time.monotonic() - began < 60
    s3_server.start()
    there.ping()
    assert read(there.bring("killed")) == FIRST
    here.keep("killed")
    assert read(there.bring("killed")) == SECOND
    assert PASSWORD not in str(lost.value)


def test_a_full_disk_here_is_not_blamed_on_the_server(
    here: Artefacts, there: Artefacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here, FIRST)
    here.keep("jobs/jo_1")
    assert there._remote is not None

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(there._remote._files, "get_file", full)
    with pytest.raises(OSError, match="No space"):
        there.bring("jobs/jo_1")
    assert list(there.path("jobs").iterdir()) == []


def test_without_a_url_files_are_where_they_are(tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path)
    with pytest.raises(ArtefactsMissing):
        artefacts.bring("jobs/jo_1")
    directory = write(artefacts, FIRST)
    artefacts.keep("jobs/jo_1")
    assert artefacts.bring("jobs/jo_1") == directory
    assert artefacts.exists("jobs/jo_1")
    assert artefacts.size("jobs/jo_1") == sum(map(len, FIRST.values()))
    assert read(tmp_path) == {f"jobs/jo_1/{name}": content for name, content in FIRST.items()}
    artefacts.ping()
    artefacts.remove("jobs/jo_1")
    assert not artefacts.exists("jobs/jo_1")


def test_links_are_not_followed(here: Artefacts, there: Artefacts, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    directory = write(here, FIRST)
    (directory / "link").symlink_to(tmp_path / "secret")
    here.keep("jobs/jo_1")
    assert read(there.bring("jobs/jo_1")) == FIRST


@pytest.mark.parametrize("name", ["../escaped", "/escaped", "a/../../escaped", "", "a\0b"])
def test_a_manifest_cannot_write_outside_its_folder(here: Artefacts, there: Artefacts, name: str) -> None:
    write(here, {"file": b"x"})
    here.keep("jobs/jo_1")
    assert here._remote is not None
    manifest = next(path for path in objects(here) if path.endswith("manifest.json"))
    content = here._remote._files.cat_file(manifest).decode()
    escaped = name.replace("\0", "\\u0000")
    here._remote._files.pipe_file(manifest, content.replace('"file"', f'"{escaped}"').encode())
    with pytest.raises(ArtefactDamaged):
        there.bring("jobs/jo_1")
    assert not there.path("jobs/jo_1").exists()


@pytest.mark.parametrize("folder", ["", "..", "jobs/../..", "/etc", "jobs//a", "jobs/.hidden", "jobs/a b", "jobs/a\n"])
def test_only_ids_are_keys(tmp_path: Path, folder: str) -> None:
    artefacts = Artefacts(tmp_path)
    for use in (artefacts.path, artefacts.keep, artefacts.bring, artefacts.exists, artefacts.size, artefacts.remove):
        with pytest.raises(ValueError, match="not the name"):
            use(folder)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"ftq://studio:{PASSWORD}@host/x", "scheme of this URL is not known"),
        ("s3://", "no place"),
        (f"s3://bucket?secrt={PASSWORD}", "secrt"),
        ("bucket", "not a URL"),
    ],
)
def test_a_url_that_cannot_be_is_refused(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(LocationError, match=said) as refused:
        Artefacts(tmp_path, url)
    assert refused.value.problems[0].field == "GIFT_ARTEFACTS_URL"
    assert PASSWORD not in str(refused.value)


def test_a_bucket_that_is_not_there_is_named(s3_server: S3Service, tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path, s3_server.url.replace("//studio/", "//nowhere/"))
    write(artefacts, FIRST)
    with pytest.raises(GiftError, match="s3://nowhere/artefacts") as refused:
        artefacts.keep("jobs/jo_1")
    assert isinstance(refused.value, ArtefactsUnavailable)
    assert PASSWORD not in str(refused.value)


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(versions=st.lists(st.dictionaries(NAMES, st.binary(max_size=50), max_size=4), min_size=1, max_size=3))
def test_any_names_and_contents_come_back(tmp_path: Path, versions: list[dict[str, bytes]]) -> None:
    here, there = (Artefacts(tmp_path / host, f"file://{tmp_path}/shared") for host in ("here", "there"))
    for files in versions:
        write(here, files, "any").mkdir(parents=True, exist_ok=True)
        here.keep("any")
        assert read(there.bring("any")) == files
