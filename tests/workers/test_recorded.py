"""The recorded experiment: every page of a new studio has something real to show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gift_core.recording import Recording, recorded_experiment, recording_directory
from gift_core.spec import ExperimentSpec, RunSpec
from workers.inference import InferenceService
from workers.recorded import EXPERIMENT_ID
from workers.records import RunState
from workers.settings import Settings
from workers.studio import Studio

MEGABYTE = 10**6


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    opened = Studio(Settings(data_dir=tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def shown(studio: Studio) -> Studio:
    studio.show_recording()
    return studio


def test_a_new_studio_has_two_finished_runs_with_curves_and_scores(shown: Studio) -> None:
    (experiment,) = shown.store.experiments()
    assert experiment.id == EXPERIMENT_ID
    runs = shown.store.runs(experiment.id)
    assert [run.label for run in runs] == ["SFT", "GIFT"]
    assert [RunSpec.parse(run.spec) for run in runs] == [spec for _, spec in recorded_experiment().expand()]
    for run in runs:
        assert run.state == RunState.FINISHED
        assert run.result is not None
        assert run.result["score"]["n"] == 256
        assert run.started is not None
        assert run.ended is not None
        assert run.ended - run.started == pytest.approx(run.result["seconds"])
        assert run.step == run.total_steps == run.result["steps"]
        assert any("eval_loss" in point.values for point in shown.store.metrics([run.id], after=0))
        assert [move.cause for move in shown.store.transitions(run_id=run.id)] == ["recorded"]


def test_it_is_put_there_once_and_not_beside_an_experiment_of_ones_own(studio: Studio) -> None:
    own, _ = studio.store.create_experiment(ExperimentSpec(), None)
    studio.show_recording()
    assert [experiment.id for experiment in studio.store.experiments()] == [own.id]


def test_showing_it_again_changes_nothing(shown: Studio) -> None:
    before = shown.store.runs(), shown.store.head()
    shown.show_recording()
    assert (shown.store.runs(), shown.store.head()) == before


def test_what_the_pages_ask_first_is_answered_from_the_recording(shown: Studio) -> None:
    inference = InferenceService(shown, threads=1)
    checkpoints = [checkpoint.id for checkpoint in shown.checkpoints()]
    assert len(checkpoints) == 3
    for example in inference.examples(1):
        found = inference.inspect(checkpoints, example.prompt, example.response, 0.5)
        assert [each.checkpoint for each in found.checkpoints] == checkpoints
        traces = inference.denoise(checkpoints, example.prompt, RunSpec().sampling, 1)
        assert [trace.checkpoint for trace in traces] == checkpoints
    assert not inference._models, "no model had to be loaded"


@pytest.mark.slow
def test_the_recording_is_what_its_checkpoints_say(shown: Studio) -> None:
    inference = InferenceService(shown, threads=1)
    recording = Recording.bundled()
    object.__setattr__(inference, "_recording", recording.model_copy(update={"inspections": [], "traces": []}))
    inspected, traced = recording.inspections[-1], recording.traces[-1]
    asked = inspected.request
    found = inference.inspect(asked.checkpoints, asked.prompt, asked.response, asked.power)
    for one, other in zip(found.checkpoints, inspected.inspection.checkpoints, strict=True):
        assert one.entropy == pytest.approx(other.entropy, rel=1e-2, abs=1e-3)
    traces = inference.denoise(traced.request.checkpoints, traced.request.prompt, traced.request.sampling, 1)
    assert [trace.text for trace in traces] == [trace.text for trace in traced.traces]


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in recording_directory().rglob("*") if path.is_file()) < 3 * MEGABYTE
