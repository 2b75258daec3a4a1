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
from workers.records import Experiment, Run, RunState
from workers.settings import Settings
from workers.store import RunStore
from workers.studio import Studio

OWNER = "test-worker"


@dataclass
class Trainer:
    """Does to the store what a supervisor does while a run trains."""

    store: RunStore

    def start(self, run: Run) -> None:
        assert self.store.claim(run.id, OWNER, lease_seconds=60)

    def log(self, run: Run, *steps: int, phase: str = "training", **values: float) -> None:
        lines = [
            MetricLine(number=step, step=step, time=time.time(), phase=phase, values=values or {"loss": 1 / step})
            for step in steps
        ]
        assert self.store.record(run.id, OWNER, lines)

    def enter(self, run: Run, phase: str, step: int) -> None:
        lines = [MetricLine(number=10_000 + step, step=step, time=time.time(), phase=phase)]
        assert self.store.record(run.id, OWNER, lines)

    def finish(self, run: Run) -> None:
        result = {"seconds": 1.5, "final_loss": 0.25}
        assert self.store.end(run.id, OWNER, RunState.FINISHED, "trained", result=result)


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
def create(studio: Studio) -> Callable[..., tuple[Experiment, list[Run]]]:
    """Creates an experiment directly in the store."""

    def create(**fields: Any) -> tuple[Experiment, list[Run]]:
        experiment, _ = studio.store.create_experiment(ExperimentSpec(**fields), None)
        return experiment, studio.store.runs(experiment.id)

    return create
