"""Two hosts with a folder each share PostgreSQL, Redis and S3: a run begun on one goes on on the other."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from gift_core.run import run_training
from gift_core.spec import ExperimentSpec, RunSpec
from tests.services import RedisService, S3Service
from workers.records import Job, JobState
from workers.settings import Settings
from workers.sharing import Sharing
from workers.studio import Studio

ROOT = Path(__file__).resolve().parents[1]
# Forty steps with a checkpoint after every epoch, so that it goes on for seconds when some have been taken.
SPEC = ExperimentSpec.parse(
    {
        "methods": ["gift"],
        "run": {
            "data": {"source": {"kind": "task", "task": "sudoku", "examples": 40}, "held_out": 0},
            "training": {"epochs": 20, "batch_size": 16, "learning_rate": 1e-3},
            "evaluation": {"score": False},
        },
    }
)
# A host is what says that it is one.
HOST = """
import socket, sys
name = sys.argv.pop(1)
socket.gethostname = lambda: name
from gift_core.cli import main
sys.argv[0] = "gift"
main()
"""


@pytest.fixture
def services(postgres_url: str, redis_server: RedisService, s3_server: S3Service) -> dict[str, str]:
    return {
        "GIFT_STORE_URL": postgres_url,
        "GIFT_QUEUE_URL": redis_server.url,
        "GIFT_ARTEFACTS_URL": s3_server.url,
    }


@pytest.fixture
def start_host(services: Mapping[str, str], tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Start `gift worker` as the host of that name; ended after the test."""
    with ExitStack() as stack:

        def start(name: str) -> subprocess.Popen[bytes]:
            environment = {
                **os.environ,
                **services,
                "GIFT_DATA_DIR": str(tmp_path / name),
                "GIFT_TRAINING_THREADS": "1",
            }
            command = [sys.executable, "-c", HOST, name, "worker", "--device", "cpu"]
            process = stack.enter_context(subprocess.Popen(command, cwd=ROOT, env=environment))
            stack.callback(process.terminate)
            return process

        yield start


@pytest.fixture
def studio(services: Mapping[str, str], tmp_path: Path) -> Iterator[Studio]:
    """The web server's, without a worker."""
    settings = Settings(
        data_dir=tmp_path / "web",
        embedded_worker=False,
        store_url=services["GIFT_STORE_URL"],
        queue_url=services["GIFT_QUEUE_URL"],
        artefacts_url=services["GIFT_ARTEFACTS_URL"],
    )
    opened = Studio(settings)
    yield opened
    opened.close()


def until(condition: Callable[[], object], seconds: float = 180) -> None:
    deadline, never = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        never.wait(0.05)


def test_an_uploaded_file_reaches_the_host_that_needs_it(
    studio: Studio, services: Mapping[str, str], tmp_path: Path
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"prompt": "1+1?", "response": "2"}\n'

    dataset = asyncio.run(studio.datasets.receive("mine.jsonl", body()))
    spec = RunSpec.parse({"data": {"source": {"kind": "file", "dataset": dataset.id}}})
    elsewhere = Sharing(tmp_path / "elsewhere", services["GIFT_ARTEFACTS_URL"])
    elsewhere.bring(Job(id="run_1", label="", spec=spec.model_dump(mode="json"), attempt=1))
    (found,) = (tmp_path / "elsewhere" / "datasets").iterdir()
    assert found.read_bytes() == studio.datasets.path(dataset.id).read_bytes()


def weights(directory: Path) -> str:
    return hashlib.sha256((directory / "checkpoint" / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_goes_on_on_another_host_to_the_same_weights(studio: Studio, start_host, tmp_path: Path) -> None:
    first_host = start_host("one")
    (run,) = studio.store.runs(studio.launch(SPEC, None)[0].id)
    until(lambda: studio.store.job(run.id).step >= 4)
    assert studio.store.job(run.id).host == "one"
    first_host.send_signal(signal.SIGTERM)
    assert first_host.wait(60) == 0
    handed_back = studio.store.job(run.id)
    assert handed_back.state == JobState.QUEUED

    start_host("two")
    until(lambda: studio.store.job(run.id).state == JobState.FINISHED)
    finished = studio.store.job(run.id)
    assert (finished.host, finished.attempt) == ("two", 2)
    steps = [point.step for point in studio.store.metrics([run.id], after=0)]
    assert steps == sorted(set(steps))
    run_training(SPEC.expand()[0][1], tmp_path / "undisturbed", Path)
    assert weights(studio.files(finished)) == weights(tmp_path / "undisturbed")
    assert "--- attempt 1" in studio.log(run.id)
    assert "--- attempt 2" in studio.log(run.id)


def test_what_comes_from_elsewhere_leaves_the_lease_of_the_attempt_that_begins(
    services: Mapping[str, str], tmp_path: Path
) -> None:
    job = Job(id="run_1", label="", spec=RunSpec().model_dump(mode="json"), attempt=2)
    there, here = (Sharing(tmp_path / host, services["GIFT_ARTEFACTS_URL"]) for host in ("there", "here"))
    directories = [tmp_path / host / "runs" / "run_1" for host in ("there", "here")]
    for directory, files in zip(directories, (("job.log",), ("old", "lease-2", ".lease-2.5")), strict=True):
        directory.mkdir(parents=True)
        for name in files:
            (directory / name).write_text(name)
    there.keep(job)
    here.bring(job)
    assert {path.name for path in directories[1].iterdir()} == {"job.log", "lease-2", ".lease-2.5"}
