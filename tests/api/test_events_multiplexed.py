"""One stream for everything that a client watches."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator

import pytest

from api.events import EventHub
from api.job_views import JobEvent, QueueEvent
from api.schemas import MetricsEvent, RunEvent, TraceStreamEvent
from api.topics import Topics
from ui.client import StudioEvent
from ui.connection import StudioError
from workers.orders import EvaluationOrder
from workers.records import Job, JobKind

Events = Iterator[StudioEvent]


@pytest.fixture
def evaluation(studio) -> Job:
    order = EvaluationOrder(checkpoint="tiny")
    job, _ = studio.store.add_job(studio.new_job(JobKind.EVALUATE, order.id, "tiny", order))
    return job


def read_until(events: Events, met: Callable[[StudioEvent], bool]) -> list[StudioEvent]:
    seen = [next(events)]
    while not met(seen[-1]):
        seen.append(next(events))
    return seen


def is_job(job: Job, state: str) -> Callable[[StudioEvent], bool]:
    return lambda event: isinstance(event, JobEvent) and (event.data.id, event.data.state) == (job.id, state)


def has_step(step: int) -> Callable[[StudioEvent], bool]:
    return lambda event: isinstance(event, MetricsEvent) and event.data.points[-1].step == step


def steps(seen: list[StudioEvent]) -> list[int]:
    return [point.step for event in seen if isinstance(event, MetricsEvent) for point in event.data.points]


def test_an_experiment_and_a_job_of_another_kind_come_in_one_stream(client, create, trainer, evaluation):
    experiment, (sft, _) = create()
    events = client.watch([f"experiment:{experiment.id}", f"job:{evaluation.id}"])
    read_until(events, is_job(evaluation, "queued"))
    trainer.start(sft)
    trainer.log(sft, 1)
    read_until(events, has_step(1))
    trainer.start(evaluation)
    trainer.log(evaluation, 7, phase="evaluating", solved=3)

    seen = read_until(events, lambda event: isinstance(event, JobEvent) and event.data.step == 7)

    assert seen[-1].data.latest == {"solved": 3}
    assert seen[-1].data.kind == "evaluate"
    # Runs of an experiment are told of as runs, not as jobs too.
    assert {event.data.id for event in seen if isinstance(event, JobEvent)} == {evaluation.id}


def test_the_queue_is_told_of_from_now_on(client, studio, create, trainer):
    _, (first, second) = create()
    trainer.start(first)
    trainer.finish(first)
    events = client.watch(["queue"])

    greeting = next(events)
    assert isinstance(greeting, QueueEvent)
    assert (greeting.data.paused, [job.id for job in greeting.data.waiting]) == (False, [second.id])

    studio.store.set_paused(True, "test")
    assert read_until(events, lambda event: isinstance(event, QueueEvent) and event.data.paused)

    _, (third, fourth) = create()
    studio.store.reorder(fourth.id, before=second.id)
    wanted = [fourth.id, second.id, third.id]
    seen = read_until(
        events, lambda event: isinstance(event, QueueEvent) and [job.id for job in event.data.waiting] == wanted
    )
    # What had ended before is not news; what was launched since is; metrics and runs belong to other topics.
    assert {event.data.id for event in seen if isinstance(event, JobEvent)} == {third.id, fourth.id}
    assert not any(isinstance(event, RunEvent | MetricsEvent) for event in seen)


def test_after_a_break_the_queue_tells_what_was_missed(client, create, trainer):
    _, (first, _) = create()
    broken = client.watch(["queue"])
    last = next(broken)
    trainer.start(first)
    trainer.finish(first)
    # Somebody who was told of nothing yet has nothing to go on from but the position of the greeting.
    seen = read_until(client.watch(["queue"], after=last.id), is_job(first, "finished"))
    assert seen


def test_a_stream_goes_on_after_any_event_of_any_topic(client, create, trainer, evaluation):
    experiment, (sft, gift) = create()
    topics = [f"experiment:{experiment.id}", f"job:{evaluation.id}", "queue"]
    for run in (sft, evaluation, gift):
        trainer.start(run)
    for step in (1, 4):
        trainer.log(sft, step)
        trainer.log(evaluation, step + 1)
        trainer.log(gift, step + 2)
    before = read_until(client.watch(topics), has_step(6))
    assert sorted(steps(before)) == [1, 2, 3, 4, 5, 6]
    trainer.log(evaluation, 7)
    trainer.finish(sft)
    for count, event in enumerate(before, start=1):
        after = read_until(client.watch(topics, after=event.id), has_step(7))
        assert sorted(steps(before[:count] + after)) == [1, 2, 3, 4, 5, 6, 7]
        assert any(is_job(sft, "finished")(each) for each in after)


def test_a_run_that_joins_an_experiment_later_is_told_of(client, studio, create):
    experiment, (sft, _) = create()
    events = client.watch([f"experiment:{experiment.id}"])
    next(events)
    late = sft.model_copy(update={"id": "run_late", "position": 2, "label": "later"})
    studio.store.add_job(Job(**late.model_dump()))
    assert read_until(events, lambda event: isinstance(event, RunEvent) and event.data.id == "run_late")


def test_a_trace_and_an_experiment_share_a_stream_and_its_place(client, create, trainer):
    experiment, (sft, _) = create()
    trainer.start(sft)
    (trace,) = client.start_traces(["tiny"], "2+3=", {"length": 8, "block_length": 8, "steps": 4})
    topics = [f"trace:{trace.id}", f"experiment:{experiment.id}"]
    events = client.watch(topics)
    parts: list[TraceStreamEvent] = []
    while not parts or parts[-1].event != "ended":
        parts += [event for event in [next(events)] if isinstance(event, TraceStreamEvent)]
    assert parts[-1].data.state == "finished"
    middle = parts[len(parts) // 2]
    trainer.log(sft, 1)
    again = read_until(client.watch(topics, after=middle.id), has_step(1))
    again += [] if any(event.event == "ended" for event in again) else [next(events)]
    had = len(parts) // 2 + 1
    told = [event.data.part for event in again if isinstance(event, TraceStreamEvent) and event.event == "part"]
    assert told == [event.data.part for event in parts[had:] if event.event == "part"][: len(told)]


@pytest.mark.parametrize("topic", ["experiment:exp_nowhere", "job:run_nowhere", "trace:tr_" + "0" * 32])
def test_what_is_not_there_is_refused_before_the_stream_begins(client, topic):
    with pytest.raises(StudioError, match=topic.partition(":")[2]) as refused:
        next(client.watch(["queue", topic]))
    assert refused.value.status == 404


@pytest.mark.parametrize("topics", [[], ["everything"], ["job:"], ["job:../x"], ["queue"] * 33])
def test_what_is_no_topic_is_refused(client, topics):
    with pytest.raises(StudioError) as refused:
        next(client.watch(topics))
    assert refused.value.status == 422
    assert refused.value.problems[0].field.startswith("topic")


def test_nothing_is_read_while_nothing_is_written(studio, create):
    experiment, _ = create()
    looked: list[str] = []

    class CountingStore:
        def __getattr__(self, name):
            looked.append(name)
            return getattr(studio.store, name)

    async def watch() -> None:
        hub = EventHub(CountingStore(), interval=0)
        async with hub.running():
            stream = hub.stream(Topics(experiments=frozenset({experiment.id})))
            await anext(stream)
            waiting = asyncio.ensure_future(anext(stream))
            while looked[-5:] != ["database"] * 5:
                await asyncio.sleep(0)
            looked.clear()
            while len(looked) < 50:
                await asyncio.sleep(0)
            # Whether anything was committed, and nothing else.
            assert set(looked) == {"database"}
            await asyncio.to_thread(studio.store.request_stop, studio.store.runs(experiment.id)[0].id, "test")
            await waiting
            await stream.aclose()

    asyncio.run(asyncio.wait_for(watch(), timeout=20))


def test_what_many_hear_is_written_once(studio, create, trainer):
    experiment, (sft, _) = create()
    trainer.start(sft)

    async def watch() -> None:
        hub = EventHub(studio.store, interval=0.001)
        async with hub.running():
            streams = [hub.stream(Topics(experiments=frozenset({experiment.id}))) for _ in range(3)]

            async def until_step(stream, step: int) -> str:
                async for _, told in stream:
                    if told.event == "metrics" and told.data.points[-1].step == step:
                        return told.text
                raise AssertionError("the stream ended")

            # A stream reads the store itself until it finds nothing new there, which a point may always precede.
            for step in itertools.count(1):
                reads = asyncio.gather(*(until_step(stream, step) for stream in streams))
                await asyncio.to_thread(trainer.log, sft, step)
                first, *others = await reads
                if all(text is first for text in others):
                    break
            for stream in streams:
                await stream.aclose()

    asyncio.run(asyncio.wait_for(watch(), timeout=20))


def test_nobody_is_told_what_was_after_what_is(studio, create, trainer):
    experiment, (sft, gift) = create()
    trainer.start(sft)
    looking, go_on = threading.Event(), threading.Event()

    class SlowStore:
        """The hub's looks take long, once they have read how the jobs are; a watcher's own do not."""

        def __getattr__(self, name):
            return getattr(studio.store, name)

        def jobs_with(self, ids):
            found = studio.store.jobs_with(ids)
            if found:
                looking.set()
                go_on.wait(20)
            return found

    def has_step(told, step: int) -> bool:
        return told.event == "metrics" and told.job == gift.id and told.data.points[-1].step == step

    async def watch() -> list[str]:
        hub = EventHub(SlowStore(), interval=0.001)
        states: list[str] = []
        knows = asyncio.Event()

        async def come_late() -> None:
            stream = hub.stream(Topics(experiments=frozenset({experiment.id})))
            async for _, told in stream:
                if told.event == "run" and told.job == sft.id:
                    states.append(told.data.state)
                    knows.set()
                if has_step(told, 20):
                    break
            await stream.aclose()

        async with hub.running():
            early = hub.stream(Topics(experiments=frozenset({experiment.id})))
            await anext(early)
            await asyncio.to_thread(trainer.log, sft, 1)
            await asyncio.to_thread(looking.wait, 20)
            await asyncio.to_thread(trainer.finish, sft)
            late = asyncio.ensure_future(come_late())
            await knows.wait()
            go_on.set()
            # More than one can read in the store alone.
            await asyncio.to_thread(trainer.start, gift)
            for step in range(1, 21):
                await asyncio.to_thread(trainer.log, gift, step)
                while not has_step((await anext(early))[1], step):
                    pass
            await late
            await early.aclose()
        return states

    assert set(asyncio.run(asyncio.wait_for(watch(), timeout=20))) == {"finished"}
