"""A file that a page is sent meets the same quotas as one that the API is sent, while it comes in."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from gradio.utils import get_upload_folder

from app import create_app
from tests.api.secured import SECRET, person, session_of
from tests.serving import free_port, serve_on
from ui.server import uploads
from workers.account_records import Role
from workers.settings import Settings
from workers.studio import Studio

_MEGABYTE = 2**20
# Few, so that no more of them come up while a test on a slow machine uses them.
_CHANGES = 8
_TYPE = {"Content-Type": "multipart/form-data; boundary=x"}


@dataclass
class Site:
    """A studio with accounts, whose files have a megabyte at most, and accounts two."""

    url: str
    studio: Studio

    def headers(self, name: str, role: Role = Role.OWNER) -> dict[str, str]:
        return session_of(self.studio.accounts, person(self.studio.accounts, name, role)) | _TYPE

    def send(self, body: bytes | Iterator[bytes], headers: dict[str, str]) -> httpx.Response:
        return httpx.post(f"{self.url}/gradio_api/upload", content=body, headers=headers, timeout=60)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    with free_port() as listener:
        settings = Settings(
            data_dir=tmp_path,
            port=listener.getsockname()[1],
            embedded_worker=False,
            recorded_example=False,
            secret=SECRET,
            upload_limit_mb=1,
            account_upload_mb=2,
            changes_per_minute=_CHANGES,
        )
        app = create_app(settings)
        with serve_on(listener, app) as url:
            yield Site(url, app.state.services.studio)


def form(size: int, files: int = 1) -> Iterator[bytes]:
    """A form of files of so many bytes each, whose length is not said."""
    for number in range(files):
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="%d.jsonl"\r\n\r\n' % number
        for start in range(0, size, 2**16):
            yield b"x" * min(2**16, size - start)
        yield b"\r\n"
    yield b"--x--\r\n"


def kept() -> list[str]:
    """Files that browsers have sent, whole or not."""
    return [path.name for path in Path(get_upload_folder()).rglob("*") if path.is_file()]


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


def said(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["detail"].startswith(document["problems"][0]["message"])
    assert document["problems"][0]["remedy"]
    return answer.status_code, document["problems"][0]["message"]


def test_a_file_has_the_size_of_a_data_set_at_most(site: Site) -> None:
    headers = site.headers("owner")
    too_large = (413, "The file is larger than the 1 MB limit.")
    assert said(site.send(form(2 * _MEGABYTE), headers)) == too_large
    assert said(site.send(b"".join(form(2 * _MEGABYTE)), headers)) == too_large
    assert said(site.send(form(_MEGABYTE // 2, files=4), headers)) == too_large
    assert kept() == [], "nothing of a refused file stays"
    assert site.send(form(_MEGABYTE), headers).status_code == 200
    assert kept() == ["0.jsonl"]


def test_all_files_of_an_account_fit_what_its_data_sets_may_still_have(site: Site) -> None:
    headers = site.headers("owner")
    for _ in range(2):
        assert site.send(form(_MEGABYTE), headers).status_code == 200
    status, message = said(site.send(form(_MEGABYTE // 2), headers))
    assert (status, message.partition(",")[0]) == (429, "Your data sets may have 2 MB more")
    assert site.send(form(_MEGABYTE // 2), site.headers("another owner")).status_code == 200
    for _ in range(3):
        assert site.send(form(_MEGABYTE), site.headers("an admin", Role.ADMIN)).status_code == 200


def test_who_may_not_upload_sends_nothing(site: Site) -> None:
    for headers in (_TYPE, site.headers("a visitor", Role.VISITOR)):
        assert site.send(form(10), headers).status_code == 401
    assert kept() == []


def test_files_are_counted_as_changes(site: Site) -> None:
    headers = site.headers("owner")
    # A slow machine gives some back meanwhile, but not as many again.
    statuses = [site.send(form(10), headers).status_code for _ in range(3 * _CHANGES)]
    assert statuses[:_CHANGES] == [200] * _CHANGES
    assert 429 in statuses


def test_a_file_that_is_broken_off_leaves_nothing(site: Site) -> None:
    headers = site.headers("owner")

    def broken() -> Iterator[bytes]:
        parts = form(_MEGABYTE)
        yield from (next(parts) for _ in range(4))
        until(kept)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        site.send(broken(), headers)
    until(lambda: kept() == [])


def test_few_files_come_at_once(site: Site) -> None:
    headers, release = site.headers("admin", Role.ADMIN), threading.Event()
    begun: list[int] = []

    def slow() -> Iterator[bytes]:
        parts = form(10)
        yield next(parts)
        begun.append(1)
        release.wait(60)
        yield from parts

    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(site.send(slow(), headers))) for _ in range(3)]
    for thread in threads:
        thread.start()
    # Gradio has a file of each.
    until(lambda: len(begun) == len(kept()) == 3)
    assert said(site.send(form(10), headers)) == (429, "3 of your files are being sent already.")
    release.set()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * 3
    assert site.send(form(10), headers).status_code == 200


def test_a_disk_below_its_floor_takes_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = site.headers("owner")
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1_000})())
    status, message = said(site.send(form(10), headers))
    assert status == 507
    assert message.startswith("The disk is nearly full")


def test_what_was_left_behind_goes_with_the_next_file(tmp_path: Path) -> None:
    old, young = tmp_path / "old", tmp_path / "young"
    for path in (old, young):
        path.write_text("x")
    os.utime(old, (time.time() - 700,) * 2)
    uploads._remove_unfinished(tmp_path, 600)
    assert [path.name for path in tmp_path.iterdir()] == ["young"]
