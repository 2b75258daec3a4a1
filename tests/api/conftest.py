"""A real studio behind a real server; only the models that inspect and denoise are stood in for."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from api.app import create_api
from gift_core.documents import DatasetPreview, Inspection, Trace
from gift_core.spec import ExperimentSpec, FileSource, SamplingSpec
from ui.client import StudioClient
from workers.inference import HeldOutExample
from workers.metrics import MetricLine
from workers.records import Experiment, Run, RunState
from workers.settings import Settings
from workers.store import RunStore
from workers.studio import Studio

OWNER = "test-worker"


class StandInInference:
    """Answers in the right shape and echoes what it was asked, without a model."""

    def inspect(self, checkpoints: Sequence[str], prompt: str, response: str, power: float) -> Inspection:
        return Inspection(prompt=[], response=[], vocabulary_size=56, power=power, checkpoints=[])

    def denoise(self, checkpoints: Sequence[str], prompt: str, sampling: SamplingSpec, seed: int) -> list[Trace]:
        return [
            Trace(
                checkpoint=checkpoint,
                label=checkpoint.upper(),
                prompt=[],
                length=sampling.length,
                block_length=sampling.block_length,
                steps=[],
                entropy="",
                confidence="",
                response=[],
                text=prompt,
                seconds=0.5,
                forward_passes=sampling.steps,
            )
            for checkpoint in checkpoints
        ]

    def preview(self, source: FileSource, model: str, start: int, rows: int) -> DatasetPreview:
        return DatasetPreview(
            columns=["q", "a"],
            prompt_column=source.prompt_column or "q",
            response_column=source.response_column or "a",
            rows=rows,
            tokens=start,
            longest=0,
            tail_share=0.0,
            examples=[],
        )

    def examples(self, count: int) -> list[HeldOutExample]:
        return [HeldOutExample(f"Sudoku {i}", "1.3.", "1234") for i in range(count)]


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


@contextmanager
def serve(app: Any) -> Iterator[str]:
    """The address of a server that runs until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, lifespan="on", log_level="warning", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    studio = Studio(Settings(data_dir=tmp_path, upload_limit_mb=1))
    yield studio
    studio.close()


@pytest.fixture
def inference() -> StandInInference:
    return StandInInference()


@pytest.fixture
def url(studio: Studio, inference: StandInInference) -> Iterator[str]:
    with serve(create_api(studio, inference, events_interval=0.02)) as address:
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
