"""The recorded experiment: every page of a new studio has something real to show."""

from __future__ import annotations

import pytest
import torch

from gift_core.masking_frequency import masking_over_time
from gift_core.recording import Recording, recorded_experiment, recording_directory
from gift_core.spec import ExperimentSpec, RunSpec
from tests.workers.conftest import Until
from workers.inference import InferenceService
from workers.lifecycle.snapshots import computed_seconds
from workers.live_traces import TraceState
from workers.models import ModelShelf
from workers.recorded import EXPERIMENT_ID
from workers.records import JobState
from workers.studio import Studio
from workers.traces import TraceOrder, TraceService

MEGABYTE = 10**6


@pytest.fixture
def shown(studio: Studio) -> Studio:
    studio.show_recording()
    return studio


def order(checkpoint: str, prompt: str) -> TraceOrder:
    """What the page asks for with nothing changed."""
    return TraceOrder(checkpoint=checkpoint, prompt=prompt, sampling=RunSpec().sampling, seed=1)


def test_a_new_studio_has_two_finished_runs_with_curves_and_scores(shown: Studio) -> None:
    (experiment,) = shown.store.experiments()
    assert experiment.id == EXPERIMENT_ID
    runs = shown.store.runs(experiment.id)
    assert [run.label for run in runs] == ["SFT", "GIFT"]
    assert [RunSpec.parse(run.spec) for run in runs] == [spec for _, spec in recorded_experiment().expand()]
    for run in runs:
        assert run.state == JobState.FINISHED
        assert run.result is not None
        assert run.result["score"]["n"] == 256
        assert run.started is not None
        assert run.ended is not None
        assert run.ended - run.started == pytest.approx(run.result["seconds"])
        assert computed_seconds(run) == run.result["seconds"]
        assert run.step == run.total_steps == run.result["steps"]
        assert any("eval_loss" in point.values for point in shown.store.metrics([run.id], after=0))
        assert [move.cause for move in shown.store.transitions(job_id=run.id)] == ["recorded"]


def test_it_is_put_there_once_and_not_beside_an_experiment_of_ones_own(studio: Studio) -> None:
    own, _ = studio.store.create_experiment(ExperimentSpec(), None)
    studio.show_recording()
    assert [experiment.id for experiment in studio.store.experiments()] == [own.id]


def test_showing_it_again_changes_nothing(shown: Studio) -> None:
    before = shown.store.jobs(), shown.store.head()
    shown.show_recording()
    assert (shown.store.jobs(), shown.store.head()) == before


def test_what_the_pages_ask_first_is_answered_from_the_recording(shown: Studio) -> None:
    shelf = ModelShelf(shown, threads=1)
    inference, traces = InferenceService(shown, shelf), TraceService(shown.trace_files, shelf)
    checkpoints = [checkpoint.id for checkpoint in shown.checkpoints()]
    assert len(checkpoints) == 3
    for example in inference.examples(1):
        found = inference.inspect(checkpoints, example.prompt, example.response, 0.5)
        assert [each.checkpoint for each in found.checkpoints] == checkpoints
        recorded = traces.start([order(checkpoint, example.prompt) for checkpoint in checkpoints])
        assert [live.checkpoint for live in recorded] == checkpoints
        assert all(live.state == TraceState.FINISHED for live in recorded), "no model had to be loaded"


def test_a_recorded_answer_says_as_much_as_a_fresh_one(shown: Studio) -> None:
    inference = InferenceService(shown, ModelShelf(shown, threads=1))
    checkpoints = [checkpoint.id for checkpoint in shown.checkpoints()]
    example = inference.examples(1)[0]
    kept = inference.inspect(checkpoints, example.prompt, example.response, 0.5)
    fresh = inference.inspect(checkpoints, example.prompt, example.response, 0.5, masked=[0, 5])
    for one, other in zip(kept.checkpoints, fresh.checkpoints, strict=True):
        assert (one.partial is None, other.partial is None) == (True, False)
        assert [masking.t for masking in one.masking] == [masking.t for masking in other.masking]
        assert one.masking[0].frequency == pytest.approx(other.masking[0].frequency, rel=1e-2, abs=1e-3)
        relative = torch.tensor(one.relative_rate)
        for weighted in one.masking[0].weighted:
            wanted = masking_over_time(relative, weighted.weighting)
            assert one.masking[0].frequency == wanted.frequency.tolist()
            assert weighted.product == wanted.product.tolist()


@pytest.mark.slow
def test_the_recording_is_what_its_checkpoints_say(
    shown: Studio, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    recording = Recording.bundled()
    inspected = recording.inspections[-1]
    monkeypatch.setattr(Recording, "bundled", lambda: recording.model_copy(update={"inspections": [], "traces": []}))
    shelf = ModelShelf(shown, threads=1)
    inference, traces = InferenceService(shown, shelf), TraceService(shown.trace_files, shelf)
    asked = inspected.request
    found = inference.inspect(asked.checkpoints, asked.prompt, asked.response, asked.power)
    for one, other in zip(found.checkpoints, inspected.inspection.checkpoints, strict=True):
        assert one.entropy == pytest.approx(other.entropy, rel=1e-2, abs=1e-3)
    made = traces.start([order(trace.start.checkpoint, trace.start.prompt_text) for trace in recording.traces[-3:]])
    until(lambda: all(live.ended for live in made))
    traces.close()
    assert [live.trace().end.text for live in made] == [trace.end.text for trace in recording.traces[-3:]]


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in recording_directory().rglob("*") if path.is_file()) < 3 * MEGABYTE
