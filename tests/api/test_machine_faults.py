"""What the API says while the machine does not let the studio work: which part of it, what to do, and no 500."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.app import create_api
from workers.settings import Settings
from workers.studio import Studio

HERE = "http://127.0.0.1"


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    opened = Studio(Settings(data_dir=tmp_path / "data", devices="cpu"))
    yield opened
    opened.close()


@pytest.fixture
def http(studio: Studio) -> Iterator[TestClient]:
    with TestClient(create_api(studio), HERE, raise_server_exceptions=False) as client:
        yield client


def test_a_folder_that_cannot_be_written_is_named_and_nothing_is_launched(studio: Studio, http: TestClient) -> None:
    worker = studio.worker()
    worker.start()
    try:
        assert http.get("/readyz").status_code == 200
        (studio.data / "runs").touch()
        studio.probe.problem(fresh=True)
        answer = http.get("/readyz")
        assert answer.status_code == 503
        (problem,) = answer.json()["problems"]
        assert (problem["field"], problem["message"]) == (
            "folder",
            "The data folder cannot be written to: Not a directory.",
        )
        assert "who may write to it" in problem["remedy"]
        assert str(studio.data) not in answer.text
        refused = http.post("/api/v1/experiments", json={})
        assert (refused.status_code, refused.json()["code"]) == (503, "not_ready")
        assert "cannot be written to" in refused.json()["detail"]
        assert studio.store.jobs() == []
        (studio.data / "runs").unlink()
        studio.probe.problem(fresh=True)
        assert http.get("/readyz").status_code == 200
        assert http.post("/api/v1/experiments", json={}).status_code == 201
    finally:
        worker.stop()


def test_the_queue_says_why_nothing_is_taken(studio: Studio, http: TestClient) -> None:
    worker = studio.worker()
    assert http.get("/api/v1/queue").json()["held_up"] == ""
    worker._supervisor.gate.met("Too many open files.")
    assert http.get("/api/v1/queue").json()["held_up"] == "Too many open files."


def test_of_several_workers_one_that_takes_jobs_is_enough(studio: Studio, http: TestClient) -> None:
    from workers.records import Worker

    def register(name: str, held_up: str) -> None:
        device = {"name": "cuda:0", "title": "", "memory": 1, "held_up": held_up}
        studio.store.register(Worker(id=name, host=name, process_id=1, devices=[device]))

    register("a", "No further files can be opened.")
    assert http.get("/api/v1/queue").json()["held_up"] == "No further files can be opened."
    assert http.get("/api/v1/devices").json()[0]["devices"][0]["held_up"] == "No further files can be opened."
    register("b", "")
    assert http.get("/api/v1/queue").json()["held_up"] == ""


@pytest.fixture
def full_disk(studio: Studio) -> Iterator[Path]:
    folder = studio.data / "datasets"
    options = ["-t", "tmpfs", "-o", "size=64k", "tmpfs"]
    if subprocess.run(["mount", *options, folder], capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_an_upload_for_which_there_is_no_room_is_507_and_leaves_nothing(http: TestClient, full_disk: Path) -> None:
    rows = b'{"prompt": "one and one", "response": "two"}\n' * 5000
    answer = http.post("/api/v1/datasets", params={"name": "rows.jsonl"}, content=rows)
    assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
    assert list(full_disk.iterdir()) == []
    assert http.get("/api/v1/datasets").json()["items"] == []


def test_an_upload_into_a_folder_that_is_gone_is_503(studio: Studio, http: TestClient) -> None:
    (studio.data / "datasets").rmdir()
    (studio.data / "datasets").touch()
    answer = http.post("/api/v1/datasets", params={"name": "rows.jsonl"}, content=b"{}")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert "Not a directory" in answer.json()["detail"]
    assert str(studio.data) not in answer.text
