"""Uploading files: any size is streamed, too much is refused, and nothing of a refused file is kept."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace

import httpx
import pytest

from api.app import create_api
from tests import bombs
from ui.connection import StudioError

ROW = json.dumps({"prompt": "1+1?", "response": "2"}) + "\n"


def write(path, rows):
    path.write_text(ROW * rows, "utf-8")
    return path


def test_an_upload_is_listed_with_its_rows(client, tmp_path):
    uploaded = client.upload(write(tmp_path / "u", 7), "my rows.jsonl")
    assert (uploaded.name, uploaded.rows, uploaded.bytes) == ("my rows.jsonl", 7, 7 * len(ROW))
    assert [dataset.id for dataset in client.datasets()] == [uploaded.id]
    assert client.dataset(uploaded.id) == uploaded


def test_a_body_above_the_json_limit_may_still_be_uploaded(client, tmp_path):
    rows = 1_010_000 // len(ROW)
    assert client.upload(write(tmp_path / "u", rows), "big.jsonl").rows == rows


def test_a_file_that_declares_too_much_is_refused_without_reading_it(studio):
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(200):
            read += 1
            yield b"x" * 2**20

    async def post() -> httpx.Response:
        transport = httpx.ASGITransport(create_api(studio))
        headers = {"Content-Length": str(200 * 2**20)}
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return await http.post("/api/v1/datasets?name=big.jsonl", content=body(), headers=headers)

    response = asyncio.run(post())
    assert response.status_code == 413
    assert response.json()["code"] == "too_large"
    assert read == 0


def test_a_file_that_turns_out_too_large_is_refused(url, client):
    def body() -> Iterator[bytes]:
        for _ in range(3):
            yield b"x" * 2**19

    response = httpx.post(f"{url}/api/v1/datasets", params={"name": "big.jsonl"}, content=body())
    assert response.status_code == 413
    assert response.json()["problems"][0]["remedy"]
    assert client.datasets() == []


def test_the_client_says_what_the_backend_says_about_a_large_file(client, tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(200 * 2**20)
    with pytest.raises(StudioError, match=r"large\.jsonl is larger than the 1 MB limit") as refused:
        client.upload(path, "large.jsonl")
    assert refused.value.status == 413


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("empty.jsonl", b"", ""),
        ("picture.png", b"\x89PNG", ".jsonl"),
        ("broken.jsonl", b"\xff\xfe{", ""),
        ("row.jsonl", (ROW + '{"prompt": "no answer"}\n').encode(), "row 2"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_not_kept(client, tmp_path, studio, name, content, complaint):
    path = tmp_path / "given"
    path.write_bytes(content)
    with pytest.raises(StudioError) as refused:
        client.upload(path, name)
    assert refused.value.status == 422
    assert complaint in str(refused.value)
    assert refused.value.problems[0].remedy
    assert client.datasets() == []
    assert list((tmp_path / "datasets").iterdir()) == []


def test_a_name_never_becomes_a_path(client, tmp_path):
    uploaded = client.upload(write(tmp_path / "u", 1), "../../escape.jsonl")
    assert uploaded.name == "escape.jsonl"
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == [f"{uploaded.id}.jsonl"]


@pytest.mark.parametrize(
    ("task", "row"),
    [
        ("gsm8k", {"question": "1+1?", "answer": "#### 2"}),
        ("math500", {"problem": "1+1?", "answer": "2"}),
        ("countdown3", {"nums": [1, 2, 3], "target": 6}),
        ("sudoku4x4", {"puzzle": "0" + "234341221434321", "solution": "1234341221434321"}),
    ],
)
def test_problems_of_a_task_are_taken_with_its_own_columns(client, tmp_path, task, row):
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps(row) + "\n")
    assert client.upload(path, path.name, task).rows == 1


def test_problems_that_a_task_cannot_use_are_refused_with_their_row(client, tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"problem": "1+1?", "answer": "2"}\n{"problem": "1+2?"}\n')
    with pytest.raises(StudioError, match=r'row 2.*no column "answer"'):
        client.upload(path, path.name, "math500")
    with pytest.raises(StudioError, match="sudoku has no items from a file"):
        client.upload(path, path.name, "sudoku")
    assert client.datasets() == []


def test_a_disk_below_its_floor_takes_no_upload(client, studio, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10_000))
    with pytest.raises(StudioError, match="The disk is nearly full") as refused:
        client.upload(write(tmp_path / "u", 1), "a.jsonl")
    assert refused.value.status == 507
    assert list((tmp_path / "datasets").iterdir()) == []
    with pytest.raises(StudioError, match="The disk is nearly full"):
        client.upload_allowance()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("place", ["_write_all", "DatasetStore._accept"])
def test_a_disk_that_fills_up_meanwhile_is_said_to_be_full(client, tmp_path, monkeypatch, code, place):
    def full(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(f"workers.datasets.{place}", full)
    with pytest.raises(StudioError, match="There is no room left on the disk") as refused:
        client.upload(write(tmp_path / "u", 1), "a.jsonl")
    assert refused.value.status == 507
    assert list((tmp_path / "datasets").iterdir()) == []


def test_other_faults_of_the_machine_are_not_a_full_disk(client, tmp_path, monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("workers.datasets._write_all", broken)
    with pytest.raises(StudioError) as refused:
        client.upload(write(tmp_path / "u", 1), "a.jsonl")
    assert refused.value.status == 503
    assert list((tmp_path / "datasets").iterdir()) == []


@pytest.mark.parametrize("purpose", [{}, {"task": "gsm8k"}])
def test_a_file_that_unpacks_to_far_more_is_refused_in_words(client, tmp_path, purpose):
    bomb = bombs.repeated_text(tmp_path / "b.parquet", 100_000)
    assert bomb.stat().st_size < 10_000
    with pytest.raises(StudioError, match="more than 10 MB once they are unpacked") as refused:
        client.upload(bomb, bomb.name, **purpose)
    assert refused.value.status == 413
    assert "gift train" in refused.value.problems[0].remedy
    assert client.upload(write(tmp_path / "u", 1), "a.jsonl").rows == 1
    assert [path.suffix for path in (tmp_path / "datasets").iterdir()] == [".jsonl"]


def test_the_problems_of_such_a_file_are_that_it_is_too_large(url, tmp_path):
    bomb = bombs.repeated_text(tmp_path / "b.parquet", 100_000)
    answer = httpx.post(f"{url}/api/v1/datasets/checks", params={"name": bomb.name}, content=bomb.read_bytes())
    assert answer.status_code == 200
    assert "more than 10 MB once they are unpacked" in answer.text


def test_what_may_be_sent_is_said_before(client):
    allowance = client.upload_allowance()
    assert (allowance.file_bytes, allowance.bytes_left) == (2**20, None)
