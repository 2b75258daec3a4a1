"""Looks at data sets: one job for equal orders, whose file is what was found."""

from __future__ import annotations

from typing import Any

import pytest

from gift_core.errors import DataError, ModelError
from gift_core.spec import RunSpec
from tests.workers.conftest import claim
from workers.dataset_inspections import DatasetInspectionService
from workers.models import ModelShelf
from workers.orders import DatasetOrder
from workers.records import JobState
from workers.store import ConflictError, NotFoundError
from workers.studio import Studio


@pytest.fixture
def service(studio: Studio) -> DatasetInspectionService:
    return DatasetInspectionService(studio, ModelShelf(studio, 1))


def order(*checkpoints: str, examples: int = 12, seed: int = 0, **data: Any) -> DatasetOrder:
    run = RunSpec.parse({"data": {"source": {"kind": "task", "task": "sudoku", "examples": 16}, "held_out": 0} | data})
    return DatasetOrder(checkpoints=checkpoints or ("tiny",), run=run, examples=examples, seed=seed, minimum_count=1)


def test_the_same_order_is_one_job_whatever_its_checkpoints_are_called(service, studio: Studio) -> None:
    first = service.start(order())
    assert service.start(order()).id == first.id
    assert order().model_copy(update={"labels": ("Another name",)}).id == first.id
    assert [job.id for job in studio.store.waiting()] == [first.id]
    assert first.label == "Tiny base"


def test_each_part_of_an_order_makes_another_look() -> None:
    orders = [order(), order("tiny", "tiny"), order(examples=11), order(seed=1), order(eos_tail="one")]
    assert len({each.id for each in orders}) == len(orders)


def test_a_cancelled_one_can_be_asked_for_again(service, studio: Studio) -> None:
    job = service.start(order())
    assert service.cancel(job.id).state == JobState.STOPPED
    assert service.start(order()).state == JobState.QUEUED
    assert studio.queue.pending() == [job.id, job.id]


def test_one_whose_file_was_removed_is_made_again(service, studio: Studio) -> None:
    job = claim(studio.store, service.start(order()).id)
    assert job
    studio.store.end(job.id, job.owner or "", JobState.FINISHED, "finished", {"examples": 12})
    assert service.result(service.job(job.id)) is None
    again = service.start(order())
    assert (again.id, again.state, again.attempt) == (job.id, JobState.QUEUED, 0)


def test_what_cannot_be_used_is_said_at_once(service, studio: Studio) -> None:
    with pytest.raises(ModelError, match="'nope'"):
        service.start(order("nope"))
    with pytest.raises(DataError, match="Unknown data set"):
        service.start(order(source={"kind": "file", "dataset": "../studio.sqlite3"}))
    assert studio.store.jobs() == []


@pytest.mark.parametrize("identity", ["di_nowhere", "../studio.sqlite3", ""])
def test_an_unknown_id_is_not_found(service, identity: str) -> None:
    with pytest.raises(NotFoundError):
        service.job(identity)


def test_as_many_as_may_wait_and_no_more(service) -> None:
    for seed in range(32):
        service.start(order(seed=seed))
    with pytest.raises(ConflictError, match="32 of your jobs of this kind are waiting"):
        service.start(order(seed=32))
    assert service.start(order(seed=0)).state == JobState.QUEUED, "one that waits already is not refused"
