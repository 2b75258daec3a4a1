"""What is told of a job: once for each attempt, however many look."""

from __future__ import annotations

from tests.workers.notifying import NAN, Clock, begin, notifier, put_one, report, told
from workers.alarms import EntropyWatch, StallWatch
from workers.attempts import Pulse
from workers.database import Database
from workers.outbox import Outbox
from workers.records import Job, JobKind, JobState
from workers.store import JobStore


def test_ends_are_told_once_however_many_look(store: JobStore) -> None:
    first, second = notifier(store), notifier(store)
    first.look()
    done, broken = begin(store), begin(store)
    store.end(done.id, done.owner or "", JobState.FINISHED, "finished", result={})
    store.end(broken.id, broken.owner or "", JobState.FAILED, "nan_loss", failure=NAN)
    for each in (first, second, first, notifier(store)):
        each.look()
    assert told(store) == [(done.id, 1, "finished"), (broken.id, 1, "nan_loss")]
    body = Outbox(store.database).open()[1].body
    # As chat programs take it, and as programs do.
    assert body["text"] == f"{broken.label} failed: The loss is &lt;NaN&gt; &amp; worse. Lower the rate."
    assert (body["failure"], body["job"]["attempt"]) == (NAN, 1)


def test_the_outbox_is_the_same_on_both_databases(database_url: str) -> None:
    store = JobStore(Database(database_url))
    put_one(store, "one", "two")
    outbox = Outbox(store.database)
    first, second = outbox.open()
    assert (first.target, second.target, first.event) == ("one", "two", "nan_loss")
    assert outbox.begin_try(first)
    assert not outbox.begin_try(first)
    outbox.settle(first, "204")
    notifier(store, "one", "two").look()
    assert [each.target for each in outbox.open()] == ["two"]
    store.close()


def test_each_attempt_is_told_of_and_what_goes_on_by_itself_is_not(store: JobStore) -> None:
    looking = notifier(store)
    looking.look()
    job = begin(store)
    store.hand_back(job.id, job.owner or "", "the studio was stopped")
    looking.look()
    assert told(store) == []
    for attempt in (2, 3):
        job = begin(store)
        store.end(job.id, job.owner or "", JobState.FAILED, "killed", failure=NAN | {"code": "killed"})
        store.requeue(job.id, "me", "again")
        looking.look()
        assert told(store)[-1] == (job.id, attempt, "failed")


def test_a_job_that_was_lost_too_often_is_told_of(store: JobStore) -> None:
    looking = notifier(store)
    looking.look()
    for _ in range(4):
        job = begin(store)
        store.lose(Pulse(job.id, job.attempt, job.heartbeat))
    looking.look()
    assert told(store) == [(job.id, 4, "failed")]


def test_what_happened_before_anybody_was_to_be_told_is_no_news(store: JobStore) -> None:
    job = begin(store)
    store.end(job.id, job.owner or "", JobState.FINISHED, "finished", result={})
    notifier(store).look()
    assert told(store) == []


def test_a_stall_is_a_worker_that_lives_and_a_job_that_says_nothing(store: JobStore) -> None:
    clock = Clock()
    watch = StallWatch(60.0, clock)
    job = begin(store)
    store.add_job(Job(id="push_1", kind=JobKind.PUSH, label="p", spec={}, devices=0, priority=9))
    upload = begin(store)
    report(store, job, 0, loss=1.0)
    events = []
    for second in range(0, 200, 20):
        clock.now = 100.0 + second
        if second == 40:
            report(store, job, 1, loss=1.0)
        store.beat(job.id, job.owner or "")
        store.beat(upload.id, upload.owner or "")
        events += [(second, alarm.job.id, alarm.event) for alarm in watch.look(store.active())]
    assert events == [(100, job.id, "stalled")]
    # One whose worker is silent is the reaper's.
    silent = StallWatch(60.0, clock)
    for _ in range(8):
        clock.now += 20
        assert silent.look(store.active()) == []


def test_who_stood_still_itself_does_not_call_others_stalled(store: JobStore) -> None:
    clock = Clock()
    watch = StallWatch(60.0, clock)
    job = begin(store)
    watch.look(store.active())
    clock.now += 3600
    store.beat(job.id, job.owner or "")
    assert watch.look(store.active()) == []


def test_a_collapse_is_measured_against_the_start_and_has_to_last(store: JobStore) -> None:
    looking = notifier(store)
    looking.look()
    job = begin(store)
    # Three reports are the start: 2 nats. The limit is a tenth of that.
    for step, entropy in enumerate((1.9, 2.0, 2.1, 0.1, 0.5, 0.1, 0.1, 0.19, 0.01), start=1):
        report(store, job, step, mean_entropy=entropy)
        looking.look()
        expected = [(job.id, 1, "entropy_collapse")] if step >= 8 else []
        assert told(store) == expected, step
    assert Outbox(store.database).open()[0].body["values"] == {"entropy": 0.19, "at_the_start": 2.0}


def test_frozen_rates_and_plain_training_never_collapse(store: JobStore) -> None:
    watch = EntropyWatch(0.1, lambda _: [2.0, 2.0, 2.0])
    job = begin(store)
    for step in range(1, 9):
        report(store, job, step, loss=0.0)
        assert watch.look(store.active()) == []
        report(store, job, step, mean_entropy=2.0)
        assert watch.look(store.active()) == []
