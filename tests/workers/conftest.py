"""A real store, and real child processes in place of a training that takes minutes."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gift_core.spec import ExperimentSpec
from workers.database import Database
from workers.records import Job
from workers.settings import Settings, job_environment
from workers.sharing import Sharing
from workers.store import JobStore
from workers.studio import Studio
from workers.supervisor import Patience, Supervisor

Until = Callable[[Callable[[], object]], None]
MakeAttempts = Callable[..., "Attempts"]

# What every stand-in for a training begins with: `report` logs a step, `finish` leaves a result.
PRELUDE = """
import json, os, pathlib, signal, subprocess, sys, time
directory, attempt = pathlib.Path(sys.argv[1]), int(sys.argv[2])

def report(step, **values):
    line = {"step": step, "time": 1.0, "phase": "training", "total_steps": 4, "eta_seconds": 2.0, "values": values}
    with open(directory / f"reports-{attempt}.jsonl", "a") as file:
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
def studio(tmp_path: Path) -> Iterator[Studio]:
    """A whole one, whose worker is not started."""
    opened = Studio(Settings(data_dir=tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def run_ids(store: JobStore) -> list[str]:
    """The runs of a new experiment, SFT then GIFT, queued."""
    experiment, _ = store.create_experiment(ExperimentSpec(), None)
    return [run.id for run in store.runs(experiment.id)]


def claim(store: JobStore, job_id: str, worker: str = "worker") -> Job | None:
    """Take this job as a worker does that has no choice; None where it does not wait."""
    return store.claim(worker, "host", lambda waiting, _: next((job for job in waiting if job.id == job_id), None))


@dataclass
class Attempts:
    """A supervisor, and what a worker does around it."""

    store: JobStore
    supervisor: Supervisor

    def execute(self, job_id: str) -> None:
        """Take a job and carry it out to its end; nothing happens where it does not wait."""
        job = claim(self.store, job_id)
        if job is not None:
            self.supervisor.execute(job, ["cpu"])


@pytest.fixture
def make_attempts(store: JobStore, tmp_path: Path) -> MakeAttempts:
    """A supervisor whose jobs' process runs the given Python program instead."""

    def make(program: str, *, lease_seconds: float = 600.0, stop_grace_seconds: float = 60.0) -> Attempts:
        return Attempts(store, supervisor_of(store, tmp_path, program, Patience(lease_seconds, stop_grace_seconds)))

    return make


def supervisor_of(store: JobStore, data: Path, program: str, patience: Patience) -> Supervisor:
    script = data / "child.py"
    script.write_text(PRELUDE + program)
    return Supervisor(
        store,
        Sharing(data, None),
        lambda directory, job: [sys.executable, str(script), str(directory), str(job.attempt)],
        lambda _: job_environment(1),
        patience,
    )
