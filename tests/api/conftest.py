"""A real studio and its models behind a real server; only training is stood in for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.app import create_api
from gift_core.spec import ExperimentSpec
from tests.serving import serve
from ui.client import StudioClient
from workers.metrics import MetricLine
from workers.records import Experiment, Job, JobState
from workers.settings import Settings
from workers.store import JobStore
from workers.studio import Studio

WORKER = "test-worker"


@dataclass
class Trainer:
    """Does to the store what a supervisor does while a run trains."""

    store: JobStore

    def start(self, run: Job) -> None:
        assert self.store.claim(WORKER, "host", lambda waiting: next(job for job in waiting if job.id == run.id))

    def log(self, run: Job, *steps: int, phase: str = "training", **values: float) -> None:
        lines = [
            MetricLine(number=step, step=step, time=time.time(), phase=phase, values=values or {"loss": 1 / step})
            for step in steps
        ]
        assert self.store.beat(run.id, self._owner(run), lines)

    def enter(self, run: Job, phase: str, step: int) -> None:
        lines = [MetricLine(number=10_000 + step, step=step, time=time.time(), phase=phase)]
        assert self.store.beat(run.id, self._owner(run), lines)

    def finish(self, run: Job) -> None:
        result = {"seconds": 1.5, "final_loss": 0.25}
        assert self.store.end(run.id, self._owner(run), JobState.FINISHED, "trained", result)

    def _owner(self, run: Job) -> str:
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
    return Trainer(studio.store)


@pytest.fixture
def create(studio: Studio) -> Callable[..., tuple[Experiment, list[Job]]]:
    """Creates an experiment directly in the store."""

    def create(**fields: Any) -> tuple[Experiment, list[Job]]:
        experiment, _ = studio.store.create_experiment(ExperimentSpec(**fields), None)
        return experiment, studio.store.runs(experiment.id)

    return create
