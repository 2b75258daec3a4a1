"""What a look at a data set does, carried out in this process."""

from __future__ import annotations

from typing import Any

import pytest

from gift_core.errors import DataError, ModelError
from gift_core.spec import ExperimentSpec, RunSpec
from tests.carrying_out import carry_out
from workers.dataset_inspections import DatasetInspectionService
from workers.kinds import FOUND, inspect
from workers.models import ModelShelf
from workers.orders import DatasetOrder
from workers.records import JobState
from workers.store import NotFoundError
from workers.studio import Studio


@pytest.fixture
def service(studio: Studio) -> DatasetInspectionService:
    return DatasetInspectionService(studio, ModelShelf(studio, threads=1))


def order(*checkpoints: str, examples: int = 12, seed: int = 0, **data: Any) -> DatasetOrder:
    run = RunSpec.parse({"data": {"source": {"kind": "task", "examples": 40}, "held_out": 0} | data})
    return DatasetOrder(checkpoints=checkpoints or ("tiny",), run=run, examples=examples, seed=seed, minimum_count=2)


def test_a_checkpoint_against_itself_differs_in_nothing(studio: Studio, service: DatasetInspectionService) -> None:
    job = carry_out(studio, service.start(order("tiny", "tiny")).id)
    found = service.result(job)
    assert found is not None
    one, other = found.checkpoints
    assert one == other
    assert (job.step, job.total_steps) == (24, 24)


def test_it_is_cancelled_between_batches_and_can_be_asked_for_again(
    studio: Studio, service: DatasetInspectionService, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Twelve examples are more than one batch.
    monkeypatch.setattr(inspect, "_TOKENS_AT_ONCE", 300)
    begun = service.start(order())
    stopped = carry_out(studio, begun.id, lambda: service.cancel(begun.id))
    assert (stopped.state, service.result(stopped)) == (JobState.STOPPED, None)
    assert 0 < stopped.step < (stopped.total_steps or 0)
    assert service.start(order()).state == JobState.QUEUED
    assert carry_out(studio, begun.id).state == JobState.FINISHED


def test_what_cannot_be_used_is_said(studio: Studio, service: DatasetInspectionService) -> None:
    with pytest.raises(ModelError, match="nope"):
        service.start(order("tiny", "nope"))
    with pytest.raises(DataError, match=r"data\.max_length is 8"):
        service.start(order(max_length=8))


def test_a_job_of_another_kind_is_not_found_and_not_stopped(studio: Studio, service: DatasetInspectionService) -> None:
    experiment, _ = studio.store.create_experiment(ExperimentSpec(), None)
    run = studio.store.runs(experiment.id)[0]
    with pytest.raises(NotFoundError):
        service.cancel(run.id)
    assert studio.store.job(run.id).state == JobState.QUEUED


def test_a_broken_file_is_made_again(studio: Studio, service: DatasetInspectionService) -> None:
    job = carry_out(studio, service.start(order(examples=2)).id)
    found = service.result(job)
    (studio.files(job) / FOUND).write_text("{", "utf-8")
    assert service.start(order(examples=2)).state == JobState.QUEUED
    assert service.result(carry_out(studio, job.id)) == found
