"""A real store, and real child processes in place of a training that takes minutes."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gift_core.spec import ExperimentSpec
from workers.database import Database
from workers.records import Job
from workers.settings import job_environment
from workers.store import JobStore
from workers.supervisor import Patience, Supervisor

Until = Callable[[Callable[[], object]], None]
MakeSupervisor = Callable[..., Supervisor]
Claim = Callable[..., Job]

# What every stand-in for a training begins with: `report` logs a step, `finish` leaves a result.
PRELUDE = """
import json, os, pathlib, signal, subprocess, sys, time
directory = pathlib.Path(sys.argv[1])
asked = json.loads((directory / "job.json").read_text())

def report(step, **values):
    line = {"step": step, "time": 1.0, "phase": "training", "total_steps": 4, "eta_seconds": 2.0, "values": values}
    with open(directory / f"reports-{asked['attempt']}.jsonl", "a") as file:
        file.write(json.dumps(line) + "\\n")

def finish():
    (directory / "result.json").write_text(json.dumps({"seconds": 1.0, "final_loss": 0.5}))

def wait_for_ever():
    while True:
        signal.pause()

"""


@pytest.fixture
def until() -> Until:
    """Wait for a condition; fails after a minute."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        never = threading.Event()
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true"
            never.wait(0.02)

    return wait


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    opened = JobStore(Database.in_file(tmp_path / "studio.sqlite3"))
    yield opened
    opened.close()


@pytest.fixture
def run_ids(store: JobStore) -> list[str]:
    """The runs of a new experiment, SFT then GIFT, queued."""
    experiment, _ = store.create_experiment(ExperimentSpec(), None)
    return [run.id for run in store.runs(experiment.id)]


@pytest.fixture
def claim(store: JobStore) -> Claim:
    """Takes a queued job for a worker."""

    def claim(job_id: str, worker: str = "worker") -> Job:
        job = store.claim(worker, "host", lambda waiting: next((job for job in waiting if job.id == job_id), None))
        assert job is not None
        return job

    return claim


@pytest.fixture
def make_supervisor(store: JobStore, tmp_path: Path) -> MakeSupervisor:
    """A supervisor whose jobs' processes run the given Python program instead."""

    def make(program: str, *, lease_seconds: float = 15.0, stop_grace_seconds: float = 10.0) -> Supervisor:
        script = tmp_path / "child.py"
        script.write_text(PRELUDE + program)
        return Supervisor(
            store,
            tmp_path,
            lambda directory, _: [sys.executable, str(script), str(directory)],
            lambda _: job_environment(1),
            Patience(lease=lease_seconds, stop_grace=stop_grace_seconds),
        )

    return make
