"""One stream for everything that a client watches."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest

from api.events import EventHub
from api.job_views import JobEvent, QueueEvent
from api.news import PAGE
from api.schemas import MetricsEvent, RunEvent, TraceStreamEvent
from api.topics import Topics
from ui.client import StudioEvent
from ui.connection import StudioError, parse_events
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


@pytest.mark.parametrize("topics", [[], ["everything"], ["job:"], ["job:../x"], ["queue"] * 101])
def test_what_is_no_topic_is_refused(client, topics):
    with pytest.raises(StudioError) as refused:
        next(client.watch(topics))
    assert refused.value.status == 422
    assert refused.value.problems[0].field.startswith("topic")


Plain = tuple[str, str, dict]


def read(client, until: Callable[[list[Plain]], bool], **query: object) -> list[Plain]:
    """The events of a stream as (event, id, data), until enough have come or it has ended."""
    address = f"{client._base_url}/api/v1/events"
    found: list[Plain] = []
    with httpx.stream("GET", address, params=query, timeout=60) as answer:
        assert answer.status_code == 200
        for each in parse_events(answer.iter_lines()):
            found.append((each["event"], each.get("id", ""), each["data"]))
            if until(found):
                break
    return found


def steps_of(run: Job, found: list[Plain]) -> list[int]:
    points = [data["points"] for event, _, data in found if event == "metrics" and data["run_id"] == run.id]
    return [point["step"] for part in points for point in part]


def has(event: str, **fields: object) -> Callable[[list[Plain]], bool]:
    """Whether the last event is this one."""
    return lambda found: found[-1][0] == event and all(found[-1][2].get(name) == fields[name] for name in fields)


def test_topics_that_there_are_not_are_left_out_and_named_where_that_is_asked_for(client, create):
    experiment, (sft, _) = create()
    unknown = ["experiment:exp_nowhere", "job:run_nowhere", "trace:tr_" + "0" * 32]
    topics = [*unknown, f"experiment:{experiment.id}"]
    first, *_ = read(client, has("run", id=sft.id), topic=topics, known_only=True)
    assert first == ("unknown", "", {"topics": unknown})


def test_a_stream_of_nothing_but_unknown_topics_says_so_and_ends(client):
    (only,) = read(client, lambda _: False, topic="experiment:exp_nowhere", known_only=True)
    assert only == ("unknown", "", {"topics": ["experiment:exp_nowhere"]})


def test_a_topic_that_is_added_to_a_stream_comes_whole_and_the_others_go_on(client, create, trainer):
    (old, (sft, _)), (new, (other, _)) = create(), create()
    for run in (sft, other):
        trainer.start(run)
        for step in (1, 2):
            trainer.log(run, step)
    had = read_until(client.watch([f"experiment:{old.id}"]), has_step(2))[-1].id
    trainer.log(sft, 3)
    topics = [f"experiment:{old.id}", f"experiment:{new.id}"]
    found = read(client, lambda found: steps_of(sft, found) == [3], topic=topics, after=had, anew=topics[1:])
    assert steps_of(other, found) == [1, 2]
    assert ("complete", {"topics": topics[1:]}) in [(event, data) for event, _, data in found]
    assert {data["id"] for event, _, data in found if event == "run"} >= {sft.id, other.id}


def test_a_long_history_comes_whole(client, studio, create, trainer):
    (old, (sft, _)), (new, (other, _)) = create(), create()
    trainer.start(other)
    for step in range(1, 2 * PAGE):
        trainer.log(other, step)
    trainer.start(sft)
    trainer.log(sft, 1)
    had = read_until(client.watch([f"experiment:{old.id}"]), has_step(1))[-1].id
    topics = [f"experiment:{old.id}", f"experiment:{new.id}"]
    wanted = list(range(1, 2 * PAGE))
    found = read(
        client, lambda found: len(steps_of(other, found)) == len(wanted), topic=topics, after=had, anew=topics[1]
    )
    assert steps_of(other, found) == wanted


def test_the_queue_that_is_added_to_a_stream_is_told_of_from_now_on(client, studio, create, trainer):
    (experiment, _), (_, (sft, _)) = create(), create()
    had = next(client.watch([f"experiment:{experiment.id}"])).id
    trainer.start(sft)
    trainer.finish(sft)
    topics = {"topic": [f"experiment:{experiment.id}", "queue"], "after": had, "anew": "queue"}
    found = read(client, has("queue"), **topics)
    assert sft.id not in [data.get("id") for _, _, data in found]
    # For a topic that the stream had before, it sends what was missed.
    assert read(client, has("job", id=sft.id, state="finished"), **{**topics, "anew": []})


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

            # A look of the hub's may have begun before a stream read the store itself: such a stream reads once more.
            for step in itertools.count(1):
                reads = asyncio.gather(*(until_step(stream, step) for stream in streams))
                while sum(bool(watcher.queue._getters) for watcher in hub._watchers) < len(streams):
                    await asyncio.sleep(0.001)
                await asyncio.to_thread(trainer.log, sft, step)
                first, *others = await reads
                if all(text is first for text in others):
                    break
            for stream in streams:
                await stream.aclose()

    asyncio.run(asyncio.wait_for(watch(), timeout=60))


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
