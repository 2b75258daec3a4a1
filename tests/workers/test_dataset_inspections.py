"""Looks at data sets: jobs, each made once and kept under what it was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gift_core.errors import DataError, ModelError
from gift_core.spec import ExperimentSpec, RunSpec
from tests.carrying_out import carry_out
from workers import studio as module
from workers.dataset_inspections import DatasetInspectionService
from workers.kinds import FOUND, inspect
from workers.models import ModelShelf
from workers.orders import DatasetOrder
from workers.records import Dataset, JobState
from workers.settings import Settings
from workers.store import ConflictError, NotFoundError
from workers.studio import Studio


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    opened = Studio(Settings(data_dir=tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def service(studio: Studio) -> DatasetInspectionService:
    return DatasetInspectionService(studio, ModelShelf(studio, threads=1))


def order(*checkpoints: str, examples: int = 12, seed: int = 0, **data: Any) -> DatasetOrder:
    run = RunSpec.parse({"data": {"source": {"kind": "task", "examples": 40}, "held_out": 0} | data})
    return DatasetOrder(checkpoints=checkpoints or ("tiny",), run=run, examples=examples, seed=seed, minimum_count=2)


def test_the_same_order_is_made_once_and_outlives_the_service(
    studio: Studio, service: DatasetInspectionService
) -> None:
    begun = service.start(order())
    assert service.start(order()).id == begun.id
    assert [job.id for job in studio.store.waiting()] == [begun.id]
    assert service.result(begun) is None
    job = carry_out(studio, begun.id)
    assert (job.state, job.step, job.total_steps, job.label) == (JobState.FINISHED, 12, 12, "Tiny base")
    again = DatasetInspectionService(studio, ModelShelf(studio, threads=1))
    assert again.start(order()).state == JobState.FINISHED
    found = again.result(again.job(begun.id))
    assert found is not None
    assert found == service.result(job)
    assert found.examples == 12


def test_each_part_of_an_order_makes_another_look() -> None:
    source = {"kind": "task", "task": "countdown", "examples": 40}
    orders = [order(), order("tiny", "tiny"), order(examples=11), order(seed=1), order(source=source)]
    assert len({each.id for each in orders}) == len(orders)
    assert order().model_copy(update={"labels": ("Tiny base",)}).id == order().id


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


def test_a_file_is_found_by_its_id_and_by_nothing_else(
    studio: Studio, service: DatasetInspectionService, tmp_path: Path
) -> None:
    path = tmp_path / "datasets" / "ds_0123456789abcdef.jsonl"
    path.write_text('{"prompt": "1+1?", "response": "2"}\n{"prompt": "2+2?", "response": "4"}\n', "utf-8")
    studio.store.add_dataset(Dataset(id=path.stem, name="rows.jsonl", suffix=".jsonl", bytes=1, rows=2))
    found = service.result(carry_out(studio, service.start(order(source={"kind": "file", "dataset": path.stem})).id))
    assert found is not None
    assert (found.examples, found.available) == (2, 2)
    for name in (str(path), f"../datasets/{path.stem}", "rows.jsonl"):
        with pytest.raises(DataError):
            service.start(order(source={"kind": "file", "dataset": name}))


def test_what_cannot_be_used_is_said(studio: Studio, service: DatasetInspectionService) -> None:
    with pytest.raises(ModelError, match="nope"):
        service.start(order("tiny", "nope"))
    job = carry_out(studio, service.start(order(max_length=8)).id)
    assert job.state == JobState.FAILED
    assert job.failure is not None
    assert "data.max_length is 8" in job.failure["message"]


@pytest.mark.parametrize("identity", ["nope", "../studio", "di_" + "0" * 32])
def test_an_unknown_id_is_not_found(service: DatasetInspectionService, identity: str) -> None:
    with pytest.raises(NotFoundError):
        service.job(identity)


def test_a_job_of_another_kind_is_not_found_and_not_stopped(studio: Studio, service: DatasetInspectionService) -> None:
    experiment, _ = studio.store.create_experiment(ExperimentSpec(), None)
    run = studio.store.runs(experiment.id)[0]
    with pytest.raises(NotFoundError):
        service.cancel(run.id)
    assert studio.store.job(run.id).state == JobState.QUEUED


def test_as_many_as_may_wait_and_no_more(
    studio: Studio, service: DatasetInspectionService, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = carry_out(studio, service.start(order(examples=2, seed=9)).id)
    monkeypatch.setattr(module, "_MOST_WAITING", 2)
    begun = [service.start(order(seed=seed)) for seed in (1, 2)]
    with pytest.raises(ConflictError):
        service.start(order(seed=3))
    assert service.start(order(seed=1)).id == begun[0].id, "what waits already is no more"
    assert service.start(order(examples=2, seed=9)).id == known.id
    for job in begun:
        assert service.cancel(job.id).state == JobState.STOPPED


def test_a_broken_file_is_made_again(studio: Studio, service: DatasetInspectionService) -> None:
    job = carry_out(studio, service.start(order(examples=2)).id)
    found = service.result(job)
    (studio.directory(job.id) / FOUND).write_text("{", "utf-8")
    assert service.start(order(examples=2)).state == JobState.QUEUED
    assert service.result(carry_out(studio, job.id)) == found
