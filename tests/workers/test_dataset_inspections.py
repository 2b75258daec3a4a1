"""Looks at data sets: made once, a batch in each turn, cancelled between batches, kept in files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gift_core import scores
from gift_core.errors import DataError, ModelError
from gift_core.spec import RunSpec
from tests.workers.conftest import Until
from workers import dataset_inspections as module
from workers.dataset_inspections import DatasetInspectionService, DatasetOrder
from workers.live_traces import TraceState
from workers.models import ModelShelf
from workers.records import Dataset
from workers.settings import Settings
from workers.store import ConflictError, NotFoundError
from workers.studio import Studio

Open = Callable[[], DatasetInspectionService]


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    opened = Studio(Settings(data_dir=tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def shelf(studio: Studio) -> ModelShelf:
    return ModelShelf(studio, threads=1)


@pytest.fixture
def open_service(studio: Studio, shelf: ModelShelf) -> Iterator[Open]:
    services: list[DatasetInspectionService] = []

    def open_service() -> DatasetInspectionService:
        services.append(DatasetInspectionService(studio, shelf))
        return services[-1]

    yield open_service
    for service in services:
        service.close()


@pytest.fixture
def service(open_service: Open) -> DatasetInspectionService:
    return open_service()


def order(*checkpoints: str, examples: int = 12, seed: int = 0, **data: Any) -> DatasetOrder:
    run = RunSpec.parse({"data": {"source": {"kind": "task", "examples": 40}, "held_out": 0} | data})
    return DatasetOrder(checkpoints=checkpoints or ("tiny",), run=run, examples=examples, seed=seed, minimum_count=2)


class Gate:
    """Holds every probe until it is let through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._open = threading.Semaphore(0)
        self.reached = threading.Semaphore(0)
        probe = scores.probe

        def held(*arguments: Any) -> Any:
            self.reached.release()
            assert self._open.acquire(timeout=30)
            return probe(*arguments)

        monkeypatch.setattr(scores, "probe", held)

    def let_through(self, probes: int) -> None:
        self._open.release(probes)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    # Twelve examples are more than one batch.
    monkeypatch.setattr(module, "_TOKENS_AT_ONCE", 300)
    gate = Gate(monkeypatch)
    yield gate
    gate.let_through(10_000)


def test_the_same_order_is_made_once_and_outlives_the_service(
    service: DatasetInspectionService, open_service: Open, gate: Gate, until: Until
) -> None:
    live = service.start(order())
    assert gate.reached.acquire(timeout=30)
    assert service.start(order()) is live
    gate.let_through(100)
    until(lambda: live.ended)
    assert live.state == TraceState.FINISHED
    assert live.result is not None
    assert (live.done, live.total) == (12, 12)
    # Nothing is probed any more: it comes from the file.
    while gate.reached.acquire(blocking=False):
        pass
    again = open_service()
    assert again.start(order()).result == live.result == again.live(live.id).result
    assert not gate.reached.acquire(blocking=False)


def test_each_part_of_an_order_makes_another_look() -> None:
    source = {"kind": "task", "task": "countdown", "examples": 40}
    orders = [order(), order("tiny", "tiny"), order(examples=11), order(seed=1), order(source=source)]
    assert len({each.id for each in orders}) == len(orders)


def test_a_checkpoint_against_itself_differs_in_nothing(service: DatasetInspectionService, until: Until) -> None:
    live = service.start(order("tiny", "tiny"))
    until(lambda: live.ended)
    assert live.result is not None
    one, other = live.result.checkpoints
    assert one == other
    assert (live.done, live.total) == (24, 24)


def test_it_is_cancelled_between_batches_and_can_be_asked_for_again(
    service: DatasetInspectionService, gate: Gate, until: Until
) -> None:
    live = service.start(order())
    assert gate.reached.acquire(timeout=30)
    service.cancel(live.id)
    gate.let_through(1)
    until(lambda: live.ended)
    assert (live.state, live.result) == (TraceState.CANCELLED, None)
    assert 0 < live.done < (live.total or 0)
    assert service.live(live.id) is live
    gate.let_through(100)
    again = service.start(order())
    until(lambda: again.ended)
    assert again.state == TraceState.FINISHED


def test_others_get_their_turn_between_batches(
    service: DatasetInspectionService, shelf: ModelShelf, gate: Gate, until: Until
) -> None:
    live = service.start(order())
    assert gate.reached.acquire(timeout=30)
    taken: list[int] = []

    def other() -> None:
        with shelf.turns:
            taken.append(live.done)

    visitor = threading.Thread(target=other)
    visitor.start()
    until(lambda: shelf.turns._waiting)
    gate.let_through(1)
    visitor.join(timeout=30)
    assert 0 < taken[0] < 12, "after the first batch, long before the end"


def test_a_file_is_found_by_its_id_and_by_nothing_else(
    studio: Studio, service: DatasetInspectionService, tmp_path: Path, until: Until
) -> None:
    path = tmp_path / "datasets" / "ds_0123456789abcdef.jsonl"
    path.write_text('{"prompt": "1+1?", "response": "2"}\n{"prompt": "2+2?", "response": "4"}\n', "utf-8")
    studio.store.add_dataset(Dataset(id=path.stem, name="rows.jsonl", suffix=".jsonl", bytes=1, rows=2))
    live = service.start(order(source={"kind": "file", "dataset": path.stem}))
    until(lambda: live.ended)
    assert live.result is not None
    assert (live.result.examples, live.result.available) == (2, 2)
    for name in (str(path), f"../datasets/{path.stem}", "rows.jsonl"):
        with pytest.raises(DataError):
            service.start(order(source={"kind": "file", "dataset": name}))


def test_what_cannot_be_used_is_said(service: DatasetInspectionService, until: Until) -> None:
    with pytest.raises(ModelError, match="nope"):
        service.start(order("tiny", "nope"))
    live = service.start(order(max_length=8))
    until(lambda: live.ended)
    assert live.state == TraceState.FAILED
    assert "max_length" in str(live.problems[0])


@pytest.mark.parametrize("identity", ["nope", "../studio", "di_" + "0" * 32])
def test_an_unknown_id_is_not_found(service: DatasetInspectionService, identity: str) -> None:
    with pytest.raises(NotFoundError):
        service.live(identity)


def test_as_many_as_may_wait_and_no_more(
    service: DatasetInspectionService, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service._jobs, "_most", 2)
    begun = [service.start(order(seed=seed)) for seed in (1, 2)]
    with pytest.raises(ConflictError):
        service.start(order(seed=3))
    for live in begun:
        service.cancel(live.id)


def test_files_used_longest_ago_go_and_a_broken_one_is_made_again(
    studio: Studio, service: DatasetInspectionService, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    monkeypatch.setattr(service._files, "_most", 1)
    for seed in (1, 2):
        live = service.start(order(examples=2, seed=seed))
        until(lambda live=live: live.ended)
    (kept,) = studio.inspection_files.glob("*")
    assert kept.stem == live.id
    kept.write_text("{", "utf-8")
    again = service.start(order(examples=2, seed=2))
    until(lambda: again.ended)
    assert again.result == live.result
