"""The whole studio as one application on a real port: pages, backend, components and worker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app import SHUTDOWN_SECONDS, create_app
from gift_core.presets import PRESETS
from gift_core.spec import ExperimentSpec
from tests.services import wait_until
from tests.serving import free_port, serve_on
from tests.stopwatch import stopwatch
from ui.client import StudioClient
from ui.connection import StudioError
from workers.database import Database
from workers.recorded import EXPERIMENT_ID
from workers.records import JobState
from workers.settings import Settings
from workers.store import JobStore
from workers.studio import Studio

ROOT = Path(__file__).parents[1]
STATIC = ROOT / "ui" / "static"
PAGES = ("/", "/runs", "/tokens", "/denoise", "/evaluate")
TYPES = {".js": "javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@contextmanager
def studio_at(data_dir: Path, **settings: Any) -> Iterator[str]:
    """The address of a studio that runs until the block ends."""
    with free_port() as listener:
        chosen = Settings(data_dir=data_dir, port=listener.getsockname()[1], training_threads=1, **settings)
        with serve_on(listener, create_app(chosen), shutdown_seconds=SHUTDOWN_SECONDS) as address:
            yield address


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with studio_at(tmp_path_factory.mktemp("studio"), embedded_worker=False) as running:
        yield running


@pytest.fixture(scope="module")
def front_end(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Pages alone, which speak to the studio at `address`."""
    with studio_at(tmp_path_factory.mktemp("elsewhere") / "data", api_url=address) as running:
        yield running


def ok(url: str) -> httpx.Response:
    answer = httpx.get(url, timeout=60)
    assert answer.status_code == 200, url
    return answer


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_served_with_and_without_the_backend(address: str, front_end: str, page: str) -> None:
    for server in (address, front_end):
        answer = ok(server + page)
        assert answer.headers["content-type"].startswith("text/html")
        assert "GIFT Studio" in answer.text


@pytest.mark.parametrize("file", sorted(path.relative_to(STATIC) for path in STATIC.rglob("*.*")), ids=str)
def test_every_file_of_the_components_is_served(address: str, file: Path) -> None:
    answer = ok(f"{address}/components/{file}")
    assert answer.content == (STATIC / file).read_bytes()
    assert TYPES[file.suffix] in answer.headers["content-type"]


def test_plotly_comes_from_here(address: str, front_end: str) -> None:
    for server in (address, front_end):
        answer = ok(f"{server}/components/plotly.min.js")
        assert re.search(r"plotly\.js v\d", answer.text[:200])


def test_an_offline_page_comes_from_wherever_the_pages_come_from(address: str, front_end: str) -> None:
    with StudioClient(address) as client:
        # Recorded: no model is loaded for it.
        prompt = client.examples(1)[0].prompt
        views = client.start_traces(["tiny", "run_recorded_sft"], prompt)
        client.finished_traces([view.id for view in views])
    query = "&".join(f"trace={view.id}" for view in views)
    for server in (address, front_end):
        answer = ok(f"{server}/offline.html?{query}")
        assert "attachment" in answer.headers["content-disposition"]
        assert '"0-1"' in answer.text
        missing = httpx.get(f"{server}/offline.html?trace=nowhere")
        assert (missing.status_code, "nowhere" in missing.text) == (404, True)


def test_nothing_above_the_components_is_served(address: str) -> None:
    assert httpx.get(f"{address}/components/%2e%2e/client.py").status_code == 404
    assert httpx.get(f"{address}/components/..%2fclient.py").status_code == 404


def test_the_backend_answers_beside_the_pages(address: str) -> None:
    assert "swagger" in ok(f"{address}/docs").text
    assert ok(f"{address}/healthz").json() == {"status": "ok"}
    assert [model["name"] for model in ok(f"{address}/api/v1/models").json()] == ["tiny"]
    missing = httpx.get(f"{address}/api/v1/runs/nowhere")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")


def test_a_front_end_alone_passes_reading_on_and_keeps_nothing(
    address: str, front_end: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for path in ("/api/v1/models", "/api/v1/presets", "/api/v1/runs/nowhere"):
        assert httpx.get(front_end + path).content == httpx.get(address + path).content
    refused = httpx.post(f"{front_end}/api/v1/experiments", json={})
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert list(tmp_path_factory.getbasetemp().glob("elsewhere*/data")) == []


def test_two_studios_in_one_process_know_nothing_of_each_other(address: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "1+1?", "response": "2"}\n')
    with (
        studio_at(tmp_path / "other", embedded_worker=False) as other,
        StudioClient(address) as here,
        StudioClient(other) as there,
    ):
        mine = here.create_experiment(PRESETS["Smoke test"], "one key")
        theirs = there.create_experiment(PRESETS["A against A"], "one key")
        dataset = there.upload(rows, rows.name)
        assert [experiment.id for experiment in here.experiments()] == [mine.id, EXPERIMENT_ID]
        assert [experiment.id for experiment in there.experiments()] == [theirs.id, EXPERIMENT_ID]
        assert here.datasets() == []
        assert [each.id for each in there.datasets()] == [dataset.id]
        with pytest.raises(StudioError, match=theirs.id):
            here.experiment(theirs.id)
        assert ok(f"{address}/runs").text
        assert ok(f"{other}/runs").text


def stopped_experiment(data_dir: Path) -> str:
    """An experiment of which nothing is left to train."""
    studio = Studio(Settings(data_dir=data_dir))
    experiment, _ = studio.store.create_experiment(ExperimentSpec(), None)
    for run in studio.store.runs(experiment.id):
        studio.stop(run.id, "user")
    studio.close()
    return experiment.id


def test_a_port_that_is_taken_is_said_at_once_and_nothing_is_begun(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with free_port() as taken:
        port = str(taken.getsockname()[1])
        environment = os.environ | {"GIFT_PORT": port, "GIFT_DATA_DIR": str(data)}
        ended = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, timeout=120)
    said = ended.stderr.decode()
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert f"port {port}: Address already in use" in said
    assert "make run PORT=" in said
    assert not data.exists()


def test_a_device_that_is_not_there_is_said_and_nothing_is_served(tmp_path: Path) -> None:
    with free_port() as free:
        port = str(free.getsockname()[1])
    environment = os.environ | {"GIFT_PORT": port, "GIFT_DATA_DIR": str(tmp_path / "data"), "GIFT_DEVICES": "cuda:77"}
    ended = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, timeout=120)
    said = ended.stderr.decode()
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert said.startswith("The studio was not started.")
    assert "This machine has no device cuda:77. Choose from cpu" in said
    assert "Traceback" not in said


def test_it_stops_within_seconds_although_a_tab_is_open(tmp_path: Path) -> None:
    experiment = stopped_experiment(tmp_path)
    before = set(threading.enumerate())
    with ExitStack() as running:
        server = running.enter_context(studio_at(tmp_path))
        with StudioClient(server) as client:
            events = client.events(experiment)
            assert next(events).data.state == "stopped"
            assert "repairs" in started_since(before), "the worker runs"
            with stopwatch() as seconds:
                running.close()
                assert seconds() < 5
    assert "repairs" not in started_since(before)


def started_since(before: set[threading.Thread]) -> set[str]:
    return {thread.name for thread in set(threading.enumerate()) - before}


@pytest.mark.slow
def test_a_training_does_not_outlive_the_studio(tmp_path: Path) -> None:
    with ExitStack() as opened:
        server = opened.enter_context(studio_at(tmp_path))
        client = opened.enter_context(StudioClient(server))
        store = JobStore(Database.in_file(tmp_path / "studio.sqlite3"))
        opened.callback(store.close)
        experiment = client.create_experiment(PRESETS["Quick pair"], "key")
        events = client.events(experiment.id)
        while (event := next(events)).event != "run" or not event.data.total_steps:
            pass
        events.close()
        process = Path(f"/proc/{store.job(event.data.id).process_id}")
        assert process.exists()
    # It dies with the thread that watched over it, if not before.
    wait_until(lambda: not process.exists(), lambda: "the training is still there")
    sft, gift = store.runs(experiment.id)
    assert (sft.state, gift.state) == (JobState.QUEUED, JobState.QUEUED)
    assert [item.cause for item in store.transitions(job_id=sft.id)][-2:] == [
        "the studio was stopped",
        "goes on by itself",
    ]
