"""Traces of a studio: made once, several at once, cancelled between steps, kept in files."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gift_core.errors import ModelError
from gift_core.sampling import denoiser
from gift_core.spec import SamplingSpec
from gift_core.trace import Edit
from workers.live_traces import LiveTrace, TraceState
from workers.models import ModelShelf
from workers.store import ConflictError, NotFoundError
from workers.studio import Studio
from workers.traces import TraceOrder, TraceService

Wait = Callable[[LiveTrace], LiveTrace]


@pytest.fixture
def open_service(studio: Studio) -> Iterator[Callable[[], TraceService]]:
    services: list[TraceService] = []

    def open_service() -> TraceService:
        services.append(TraceService(studio.trace_files, ModelShelf(studio, threads=1)))
        return services[-1]

    yield open_service
    for service in services:
        service.close()


@pytest.fixture
def traces(open_service: Callable[[], TraceService]) -> TraceService:
    return open_service()


def order(prompt: str = "1+1?", checkpoint: str = "tiny", seed: int = 1, **sampling: Any) -> TraceOrder:
    return TraceOrder(checkpoint=checkpoint, prompt=prompt, sampling=SamplingSpec.parse(sampling), seed=seed)


def ended(live: LiveTrace) -> LiveTrace:
    done = threading.Event()
    with live.listening(lambda: done.set() if live.ended else None):
        assert live.ended or done.wait(30)
    return live


class Gate:
    """Holds every forward pass until it is let through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._open = threading.Semaphore(0)
        self.reached = threading.Semaphore(0)
        commit = denoiser.most_confident

        def held(*arguments: Any) -> Any:
            self.reached.release()
            assert self._open.acquire(timeout=30)
            return commit(*arguments)

        monkeypatch.setattr(denoiser, "most_confident", held)

    def let_through(self, passes: int) -> None:
        self._open.release(passes)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    # Whatever a test left waiting must come to its end.
    gate.let_through(10_000)


def test_the_same_order_is_made_once_and_outlives_the_service(
    traces: TraceService, open_service: Callable[[], TraceService], gate: Gate
) -> None:
    (one,) = traces.start([order()])
    assert gate.reached.acquire(timeout=30)
    assert traces.start([order()]) == [one]
    gate.let_through(100)
    assert ended(one).state == TraceState.FINISHED
    again = open_service()
    # Nothing is let through any more: it comes from the file.
    (kept,) = again.start([order()])
    assert kept.state == TraceState.FINISHED
    assert kept.trace() == one.trace() == again.trace(one.id)


def test_each_part_of_an_order_makes_another_trace() -> None:
    orders = [
        order(),
        order(prompt="2+2?"),
        order(seed=2),
        order(steps=12),
        order().model_copy(update={"edits": (Edit(position=0, text="a"),)}),
    ]
    assert len({each.id for each in orders}) == len(orders)


def test_a_trace_is_cancelled_between_steps_and_can_be_asked_for_again(traces: TraceService, gate: Gate) -> None:
    (live,) = traces.start([order()])
    for _ in range(3):
        assert gate.reached.acquire(timeout=30)
        gate.let_through(1)
    assert gate.reached.acquire(timeout=30)
    traces.cancel(live.id)
    gate.let_through(1)
    assert ended(live).state == TraceState.CANCELLED
    assert live.steps == 4
    with pytest.raises(ConflictError, match="cancelled"):
        traces.trace(live.id)
    gate.let_through(100)
    (again,) = traces.start([order()])
    assert ended(again).state == TraceState.FINISHED


def test_a_short_trace_does_not_wait_for_a_long_one(traces: TraceService) -> None:
    (long,) = traces.start([order(length=512, block_length=32, steps=512, suppress_eos="tokens")])
    (short,) = traces.start([order(steps=2)])
    assert ended(short).state == TraceState.FINISHED
    assert not long.ended
    traces.cancel(long.id)
    ended(long)


def test_what_fails_says_why(traces: TraceService) -> None:
    (live,) = traces.start([order(prompt="9" * 1100)])
    assert ended(live).state == TraceState.FAILED
    assert live.problems[0].field == "prompt"
    assert traces.live(live.id).problems == live.problems
    with pytest.raises(ModelError, match="'nope'"):
        traces.start([order(), order(checkpoint="nope")])


def test_a_full_queue_refuses_more(traces: TraceService, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces._jobs, "_most", 3)
    traces.start([order(seed=seed) for seed in range(3)])
    with pytest.raises(ConflictError, match="3 traces are being made"):
        traces.start([order(seed=3)])


@pytest.mark.parametrize("identity", ["", "tr_", "../studio", "tr_" + "0" * 32, "tr_" + "g" * 32, "tr_0\x00"])
def test_an_id_that_is_none_is_not_found(traces: TraceService, identity: str) -> None:
    with pytest.raises(NotFoundError):
        traces.trace(identity)


def test_a_damaged_file_is_made_again(traces: TraceService, open_service: Callable[[], TraceService]) -> None:
    (live,) = traces.start([order(steps=2)])
    ended(live)
    path = traces._files.path(live.id)
    assert path
    path.write_bytes(path.read_bytes()[:50])
    (again,) = open_service().start([order(steps=2)])
    assert ended(again).trace().frames == live.trace().frames


def test_the_oldest_files_go(traces: TraceService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces._files, "_most", 2)
    made = []
    for seed in range(3):
        made.append(ended(traces.start([order(steps=1, seed=seed)])[0]).id)
        # Made within one tick of the machine's clock, they would be equally old.
        os.utime(traces._files.path(made[-1]) or "", (seed, seed))
    assert [live.id for _, live in traces.recent(10)] == made[:0:-1]
    with pytest.raises(NotFoundError):
        traces.trace(made[0])


def test_a_branch_has_the_settings_of_its_trace(traces: TraceService) -> None:
    (whole,) = traces.start([order(prompt="Solve", temperature=0.5)])
    ended(whole)
    left = ended(traces.branch(whole.id, 10, []))
    assert left.trace().end.text == whole.trace().end.text
    assert left.trace().start.branch is not None
    edited = ended(traces.branch(whole.id, 10, [Edit(position=0, text="A")]))
    assert edited.trace().end.response[0].text == "A"
    too_late = ended(traces.branch(whole.id, 30, []))
    assert too_late.problems[0].field == "cursor"


def test_closing_stops_what_runs(studio: Studio) -> None:
    service = TraceService(studio.trace_files, ModelShelf(studio, threads=1))
    (live,) = service.start([order(length=1024 - 64, block_length=32, steps=960, suppress_eos="tokens")])
    service.close()
    assert live.ended
    assert live.state == TraceState.CANCELLED
