"""The live stream: a snapshot, then news, and after a break exactly what was missed."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from api.events import QUEUE, EventHub
from api.news import Position, Told
from api.schemas import MetricsEvent, RunEvent, RunMetrics
from api.topics import Topics
from ui.connection import StudioError

Event = RunEvent | MetricsEvent


def steps_of(events: list[Event]) -> list[int]:
    """Of all metrics events, in the order they came."""
    return [point.step for event in events if isinstance(event, MetricsEvent) for point in event.data.points]


def read_until_step(events: Iterator[Event], step: int) -> list[Event]:
    seen: list[Event] = []
    while step not in steps_of(seen):
        seen.append(next(events))
    return seen


def read_until_state(events: Iterator[Event], state: str) -> list[Event]:
    seen = [next(events)]
    while not (isinstance(seen[-1], RunEvent) and seen[-1].data.state == state):
        seen.append(next(events))
    return seen


def test_begins_with_all_runs_and_all_points_and_goes_on_live(client, create, trainer):
    experiment, (sft, gift) = create()
    trainer.start(sft)
    trainer.log(sft, *range(1, 1202))

    events = client.events(experiment.id)
    snapshot = read_until_step(events, 1201)

    assert {event.data.id for event in snapshot if isinstance(event, RunEvent)} == {sft.id, gift.id}
    assert steps_of(snapshot) == list(range(1, 1202))
    chunks = [len(event.data.points) for event in snapshot if isinstance(event, MetricsEvent)]
    assert max(chunks) <= 500

    trainer.log(sft, 1202, loss=0.5)
    live = read_until_step(events, 1202)
    assert steps_of(live) == [1202]
    assert live[-1].data.run_id == sft.id
    assert live[-1].data.points[0].values == {"loss": 0.5}

    trainer.finish(sft)
    assert read_until_state(events, "finished")[-1].data.result.final_loss == 0.25


def test_a_new_phase_is_news_although_nothing_was_measured(client, create, trainer):
    experiment, (sft, _) = create()
    trainer.start(sft)
    trainer.log(sft, 1)
    events = client.events(experiment.id)
    read_until_step(events, 1)

    trainer.enter(sft, "evaluating", step=1)

    while (event := next(events)).event != "run" or event.data.phase != "evaluating":
        pass
    assert event.data.id == sft.id


def listen(url: str, experiment_id: str, *, headers: dict[str, str], **after: str) -> Iterator[dict[str, Any]]:
    """The data of each event, as a browser gets it."""
    parameters = {"topic": f"experiment:{experiment_id}", **after}
    with httpx.stream("GET", f"{url}/api/v1/events", params=parameters, headers=headers) as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


@pytest.mark.parametrize("place", ["header", "query"])
def test_goes_on_after_any_event_without_loss_or_repetition(client, url, create, trainer, place):
    experiment, (sft, gift) = create()
    trainer.start(sft)
    trainer.start(gift)
    for step in (1, 3, 5):
        trainer.log(sft, step)
        trainer.log(gift, step + 1)
    before_the_break = read_until_step(client.events(experiment.id), 6)
    trainer.log(sft, 7)
    trainer.finish(sft)

    for count, event in enumerate(before_the_break, start=1):
        headers, after = ({"Last-Event-ID": event.id}, {}) if place == "header" else ({}, {"after": event.id})
        steps, states = steps_of(before_the_break[:count]), []
        for data in listen(url, experiment.id, headers=headers, **after):
            steps += [point["step"] for point in data.get("points", [])]
            states.append(data.get("state"))
            if 7 in steps:
                break
        assert steps == [1, 2, 3, 4, 5, 6, 7]
        assert "finished" in states


def test_other_experiments_are_not_heard_of(client, create, trainer):
    watched, (mine, _) = create()
    _, (other, _) = create()
    trainer.start(mine)
    trainer.start(other)
    events = client.events(watched.id)
    trainer.log(other, 1)
    trainer.log(mine, 2)
    assert steps_of(read_until_step(events, 2)) == [2]


def test_an_unknown_experiment_is_refused_before_the_stream_begins(client):
    with pytest.raises(StudioError, match="exp_nowhere") as refused:
        next(client.events("exp_nowhere"))
    assert refused.value.status == 404


@pytest.mark.parametrize("after", ["7", "a.b", "-1.0", "1.2.3", f"{10**30}.0"])
def test_a_malformed_event_id_is_refused(client, create, after):
    experiment, _ = create()
    with pytest.raises(StudioError) as refused:
        next(client.events(experiment.id, after=after))
    assert refused.value.status == 422


def about(experiment) -> Topics:
    return Topics(experiments=frozenset({experiment.id}))


def steps_told(seen: list[Told]) -> list[int]:
    return [point.step for told in seen if isinstance(told.data, RunMetrics) for point in told.data.points]


async def until_step(stream: AsyncIterator[tuple[Position, Told]], step: int) -> list[Told]:
    seen: list[Told] = []
    while step not in steps_told(seen):
        seen.append((await anext(stream))[1])
    return seen


def test_a_watcher_that_falls_behind_reads_what_it_missed(studio, create, trainer):
    experiment, (run, _) = create()
    trainer.start(run)
    count = QUEUE + 40

    async def watch() -> list[Told]:
        hub = EventHub(studio.store, interval=0.001)
        seen: list[Told] = []
        async with hub.running():
            slow, fast = (hub.stream(about(experiment)) for _ in range(2))
            for step in range(1, count + 1):
                # Both have to be up to date before the slow one stops reading: then it lives from its queue.
                watching = [until_step(fast, step)] + ([until_step(slow, step)] if step <= 5 else [])
                reads = asyncio.gather(*watching)
                await asyncio.to_thread(trainer.log, run, step)
                for events in (await reads)[1:]:
                    seen += events
            seen += await until_step(slow, count)
            await slow.aclose()
            await fast.aclose()
        return seen

    assert steps_told(asyncio.run(watch())) == list(range(1, count + 1))


def test_nobody_watching_means_nobody_reads_the_store(studio, create):
    experiment, _ = create()
    reads = 0

    class CountingStore:
        def __getattr__(self, name):
            nonlocal reads
            reads += 1
            return getattr(studio.store, name)

    async def reads_after_a_while() -> int:
        for _ in range(50):
            await asyncio.to_thread(int)
        return reads

    async def watch_and_leave() -> None:
        hub = EventHub(CountingStore(), interval=0)
        async with hub.running():
            stream = hub.stream(about(experiment))
            await anext(stream)
            while reads == await reads_after_a_while():
                pass
            await stream.aclose()
            while reads != await reads_after_a_while():
                pass

    asyncio.run(asyncio.wait_for(watch_and_leave(), timeout=20))


def test_the_pump_survives_a_store_that_fails_for_a_moment(studio, create, trainer, caplog):
    experiment, (run, _) = create()
    trainer.start(run)
    failures = 2
    recovered = threading.Event()

    class FlakyStore:
        def __getattr__(self, name):
            return getattr(studio.store, name)

        def metrics(self, run_ids, after, limit):
            nonlocal failures
            if run_ids is None and failures:
                failures -= 1
                raise OSError("disk I/O error")
            if run_ids is None:
                recovered.set()
            return studio.store.metrics(run_ids, after, limit)

    async def watch() -> RunMetrics:
        hub = EventHub(FlakyStore(), interval=0.001)
        async with hub.running():
            stream = hub.stream(about(experiment))
            await anext(stream)
            await asyncio.to_thread(trainer.log, run, 1)
            async for _, told in stream:
                if isinstance(told.data, RunMetrics):
                    # What the stream read for itself when it began may have come first.
                    assert await asyncio.to_thread(recovered.wait, 20)
                    return told.data
        raise AssertionError("the stream ended")

    assert asyncio.run(watch()).points[0].step == 1
    assert "disk I/O error" in caplog.text
