"""A real studio and its models behind a real server; only training is stood in for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.app import create_api
from gift_core.reporting import CHECKPOINT
from gift_core.spec import ExperimentSpec
from tests.serving import serve
from tests.workers.conftest import claim
from ui.client import StudioClient
from workers.kinds import job_directory
from workers.metrics import MetricLine
from workers.records import Experiment, Job, JobState
from workers.settings import Settings
from workers.store import JobStore
from workers.studio import Studio


@dataclass
class Trainer:
    """Does to the store what a supervisor does while a run trains; one that finishes leaves a checkpoint in `data`."""

    store: JobStore
    data: Path

    def start(self, run: Job) -> None:
        assert claim(self.store, run.id)

    def log(self, run: Job, *steps: int, phase: str = "training", **values: float) -> None:
        lines = [
            MetricLine(number=step, step=step, time=time.time(), phase=phase, values=values or {"loss": 1 / step})
            for step in steps
        ]
        assert self.store.beat(run.id, self.owner(run), lines)

    def enter(self, run: Job, phase: str, step: int) -> None:
        lines = [MetricLine(number=10_000 + step, step=step, time=time.time(), phase=phase)]
        assert self.store.beat(run.id, self.owner(run), lines)

    def finish(self, run: Job) -> None:
        (job_directory(self.data, run) / CHECKPOINT).mkdir(parents=True, exist_ok=True)
        result = {"seconds": 1.5, "final_loss": 0.25}
        assert self.store.end(run.id, self.owner(run), JobState.FINISHED, "trained", result=result)

    def owner(self, run: Job) -> str:
        return self.store.job(run.id).owner or ""


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    studio = Studio(Settings(data_dir=tmp_path, upload_limit_mb=1))
    yield studio
    studio.close()


@pytest.fixture
def url(studio: Studio) -> Iterator[str]:
    with serve(create_api(studio, events_interval=0.02)) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[StudioClient]:
    with StudioClient(url) as client:
        yield client


@pytest.fixture
def trainer(studio: Studio) -> Trainer:
    return Trainer(studio.store, studio.data)


@pytest.fixture
def create(studio: Studio) -> Callable[..., tuple[Experiment, list[Job]]]:
    """Creates an experiment directly in the store."""

    def create(**fields: Any) -> tuple[Experiment, list[Job]]:
        experiment, _ = studio.store.create_experiment(ExperimentSpec(**fields), None)
        return experiment, studio.store.runs(experiment.id)

    return create


@pytest.fixture(scope="module")
def working(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StudioClient, Callable[..., list[Any]]]]:
    """A client of a studio whose worker carries jobs out, and a way to wait for them.

    Shared by a module: each job is a process that takes seconds to start.
    """
    opened = Studio(Settings(data_dir=tmp_path_factory.mktemp("working"), side_slots=2))
    worker = opened.worker()
    worker.start()
    try:
        with serve(create_api(opened)) as address, StudioClient(address) as client:
            yield client, wait
    finally:
        worker.stop()
        opened.close()


def wait(ask: Callable[[str], Any], *ids: str, until: Callable[[Any], object] | None = None) -> list[Any]:
    """The views once all have ended, or `until` is true of them."""
    deadline, never = time.monotonic() + 120, threading.Event()
    met = until or (lambda view: view.state not in ("queued", "running", "stopping"))
    while True:
        found = [ask(identity) for identity in ids]
        if all(met(view) for view in found):
            return found
        assert time.monotonic() < deadline, found
        never.wait(0.1)
