"""Inspecting and denoising with base models and with what runs made of them; models are kept, but not all."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gift_core.models import loading
from gift_core.models.catalogue import find_model
from gift_core.spec import ExperimentSpec, SamplingSpec
from tests.workers.conftest import Until, claim
from workers.inference import InferenceService
from workers.live_traces import TraceState
from workers.models import KEPT_MODELS, ModelShelf
from workers.records import JobState
from workers.settings import Settings
from workers.studio import Studio
from workers.traces import TraceOrder, TraceService

TINY_RUN = ExperimentSpec.parse(
    {
        "methods": ["gift"],
        "run": {
            "data": {"source": {"kind": "task", "examples": 16}, "held_out": 0},
            "training": {"epochs": 1, "batch_size": 16, "learning_rate": 5e-3},
        },
    }
)


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    opened = Studio(Settings(data_dir=tmp_path, training_threads=1))
    yield opened
    opened.close()


@pytest.fixture
def shelf(studio: Studio) -> ModelShelf:
    return ModelShelf(studio, threads=1)


@pytest.fixture
def inference(studio: Studio, shelf: ModelShelf) -> InferenceService:
    return InferenceService(studio, shelf)


@pytest.fixture
def traces(studio: Studio, shelf: ModelShelf) -> Iterator[TraceService]:
    service = TraceService(studio.trace_files, shelf)
    yield service
    service.close()


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the models that have been read from disk, in order."""
    names: list[str] = []
    load_base, load_checkpoint = loading.load_base, loading.load_checkpoint

    def base(name: str) -> loading.DiffusionModel:
        names.append(name)
        return load_base(name)

    def checkpoint(directory: Path) -> loading.DiffusionModel:
        names.append(directory.parent.name)
        return load_checkpoint(directory)

    monkeypatch.setattr(loading, "load_base", base)
    monkeypatch.setattr(loading, "load_checkpoint", checkpoint)
    return names


def finished_runs(studio: Studio, count: int) -> list[str]:
    """Runs whose checkpoints are the base model itself."""
    spec = TINY_RUN.model_copy(update={"seeds": tuple(range(count))})
    experiment, _ = studio.store.create_experiment(spec, None)
    ids = [run.id for run in studio.store.runs(experiment.id)]
    for run_id in ids:
        job = claim(studio.store, run_id)
        assert job
        studio.store.end(run_id, job.owner or "", JobState.FINISHED, "finished", {"seconds": 1.0})
        studio.files(job).mkdir(parents=True)
        (studio.files(job) / "checkpoint").symlink_to(find_model("tiny"))
    return ids


def order(checkpoint: str, prompt: str, seed: int = 1, **sampling: Any) -> TraceOrder:
    return TraceOrder(checkpoint=checkpoint, prompt=prompt, sampling=SamplingSpec.parse(sampling), seed=seed)


def test_starting_loads_nothing_and_a_model_is_loaded_once(
    inference: InferenceService, traces: TraceService, loaded: list[str], until: Until
) -> None:
    assert loaded == []
    inference.inspect(["tiny"], "1+1?", "2", 0.5)
    inference.inspect(["tiny", "tiny"], "2+2?", "4", 0.5)
    (live,) = traces.start([order("tiny", "1+1?", steps=1)])
    until(lambda: live.ended)
    assert loaded == ["tiny"]


def test_visitors_at_the_same_time_load_a_model_once(inference: InferenceService, loaded: list[str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: inference.inspect(["tiny"], "1+1?", "2", 0.5), range(4)))
    assert all(inspection == found[0] for inspection in found)
    assert loaded == ["tiny"]


def test_the_models_used_last_are_kept_and_older_ones_let_go(
    studio: Studio, inference: InferenceService, loaded: list[str]
) -> None:
    runs = finished_runs(studio, KEPT_MODELS)
    for run_id in runs:
        inference.inspect([run_id], "1", "2", 0.5)
    inference.inspect([runs[0]], "1", "2", 0.5)
    assert loaded == runs

    inference.inspect(["tiny"], "1", "2", 0.5)
    inference.inspect([runs[0], *runs[2:]], "1", "2", 0.5)
    assert loaded == [*runs, "tiny"], "all but the one used longest ago are still there"
    inference.inspect([runs[1]], "1", "2", 0.5)
    assert loaded == [*runs, "tiny", runs[1]]


def test_labels_are_those_of_the_checkpoints(studio: Studio, inference: InferenceService) -> None:
    run_id = finished_runs(studio, 1)[0]
    base, run = inference.inspect(["tiny", run_id], "1", "2", 0.5).checkpoints
    assert base.label == studio.checkpoints()[0].label
    assert (run.checkpoint, run.label) == (run_id, "GIFT")
    assert (run.entropy, run.top) == (base.entropy, base.top), "these weights are the base's own"


def test_held_out_examples_are_made_once_however_many_are_asked_for(inference):
    assert len(inference.examples(20)) == 4 * len(inference.examples(5)) > 0
    assert inference.examples(5)[1] is inference.examples(20)[1]


@pytest.mark.slow
def test_what_a_real_run_made_can_be_looked_at_next_to_its_base(
    studio: Studio, inference: InferenceService, traces: TraceService, until: Until
) -> None:
    experiment, _ = studio.launch(TINY_RUN, None)
    run_id = studio.store.runs(experiment.id)[0].id
    worker = studio.worker()
    worker.start()
    try:
        until(lambda: studio.store.job(run_id).ended)
    finally:
        worker.stop()
    assert studio.store.job(run_id).state == JobState.FINISHED, studio.log(run_id)

    puzzle = inference.examples(1)[0]
    base, tuned = inference.inspect(["tiny", run_id], puzzle.prompt, puzzle.response, 0.5).checkpoints
    assert tuned.label == "GIFT"
    assert len(tuned.entropy) == len(base.entropy)
    assert tuned.entropy != base.entropy, "training moved the weights"
    both = traces.start([order(checkpoint, puzzle.prompt, seed=2) for checkpoint in ("tiny", run_id)])
    until(lambda: all(live.ended for live in both))
    assert [live.checkpoint for live in both] == ["tiny", run_id]
    assert all(live.state == TraceState.FINISHED and live.steps and live.trace().end.verdict for live in both)
