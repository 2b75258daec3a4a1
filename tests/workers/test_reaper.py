"""Who has a job: one worker, for as long as it is heard of, whatever the clocks say."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.workers.conftest import claim
from workers.metrics import MetricLine
from workers.reaper import Reaper
from workers.records import Job, JobState, Worker
from workers.store import JobStore

LEASE = 10.0
Take = Callable[[str], Job]


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Watch:
    """A reaper that looks every second of its own clock."""

    def __init__(self, store: JobStore) -> None:
        self.clock = Clock()
        self.reaper = Reaper(store, LEASE, self.clock)

    def pass_time(self, seconds: float) -> None:
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now += 1
            self.reaper.look()


@pytest.fixture
def watch(store: JobStore) -> Watch:
    return Watch(store)


@pytest.fixture
def take(store: JobStore) -> Take:
    """Takes a job that waits."""

    def take(job_id: str) -> Job:
        job = claim(store, job_id)
        assert job is not None
        return job

    return take


def beats(store: JobStore, job: Job, *steps: int) -> bool:
    """Whether the store takes this attempt's sign of life, with what it reports."""
    lines = [MetricLine(number=n, step=step, time=1.0, values={"loss": 1.0}) for n, step in enumerate(steps, 1)]
    return store.beat(job.id, job.owner or "", lines) is not None


def test_a_worker_that_stalls_loses_the_job_even_if_it_takes_it_again(
    store: JobStore, run_ids: list[str], take: Take, watch: Watch
) -> None:
    stalled = take(run_ids[0])
    assert beats(store, stalled)
    watch.pass_time(LEASE + 2)
    assert (store.job(stalled.id).state, store.job(stalled.id).losses) == (JobState.QUEUED, 1)
    assert not beats(store, stalled, 1)
    again = take(stalled.id)
    assert not beats(store, stalled, 1), "the same worker, but not the same attempt"
    assert not store.end(stalled.id, stalled.owner or "", JobState.FINISHED, "finished")
    assert store.metrics(None, after=0) == []
    assert store.end(again.id, again.owner or "", JobState.FINISHED, "finished")


def test_a_job_that_beats_is_never_lost(store: JobStore, run_ids: list[str], take: Take, watch: Watch) -> None:
    job = take(run_ids[0])
    for _ in range(10):
        watch.pass_time(LEASE - 2)
        assert beats(store, job)
    assert store.job(job.id).state == JobState.RUNNING


@pytest.mark.parametrize("jump", [-(10.0**8), 10.0**8])
def test_a_clock_that_is_set_expires_nobody_and_saves_nobody(
    store: JobStore, run_ids: list[str], take: Take, monkeypatch: pytest.MonkeyPatch, watch: Watch, jump: float
) -> None:
    lives, silent = (take(run_id) for run_id in run_ids)
    watch.pass_time(LEASE - 3)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + jump)
    watch.pass_time(1)
    assert [run.state for run in store.jobs()] == ["running", "running"]
    assert beats(store, lives)
    watch.pass_time(4)
    assert [store.job(job.id).state for job in (lives, silent)] == ["running", "queued"]


def test_a_reaper_that_stood_still_takes_nothing_from_the_others(
    store: JobStore, run_ids: list[str], take: Take, watch: Watch
) -> None:
    job = take(run_ids[0])
    watch.pass_time(LEASE - 2)
    watch.clock.now += 100 * LEASE
    watch.pass_time(LEASE - 1)
    assert store.job(job.id).state == JobState.RUNNING
    watch.pass_time(2)
    assert store.job(job.id).state == JobState.QUEUED


def test_two_reapers_take_a_job_away_once(store: JobStore, run_ids: list[str], take: Take) -> None:
    job = take(run_ids[0])
    watches = [Watch(store) for _ in range(2)]
    for _ in range(int(LEASE) + 2):
        for watch in watches:
            watch.pass_time(1)
    assert store.job(job.id).losses == 1


def test_a_lost_job_that_was_to_be_stopped_does_not_go_on(
    store: JobStore, run_ids: list[str], take: Take, watch: Watch
) -> None:
    job = take(run_ids[0])
    store.request_stop(job.id, "user")
    watch.pass_time(LEASE + 2)
    assert store.job(job.id).state == JobState.INTERRUPTED


def test_a_job_handed_back_keeps_its_place(store: JobStore, run_ids: list[str], take: Take) -> None:
    for is_loss, losses in ((False, 0), (True, 1)):
        job = take(run_ids[0])
        assert store.hand_back(job.id, job.owner or "", "the studio was stopped", is_loss=is_loss)
        assert store.job(job.id).losses == losses
        assert [waits.id for waits in store.waiting()] == run_ids


def test_a_job_that_was_to_begin_anew_and_never_came_to_it_still_begins_anew(
    store: JobStore, run_ids: list[str], take: Take, watch: Watch
) -> None:
    first = take(run_ids[0])
    store.end(first.id, first.owner or "", JobState.FAILED, "data")
    store.requeue(first.id, "user", "retried", fresh=True)
    assert take(first.id).fresh
    watch.pass_time(LEASE + 2)
    again = take(first.id)
    assert again.fresh
    assert beats(store, again, 0, 1)
    watch.pass_time(LEASE + 2)
    assert not take(first.id).fresh, "it has begun: now it goes on"


def test_a_worker_is_listed_until_it_leaves_or_is_silent(store: JobStore, watch: Watch) -> None:
    def register(name: str, heartbeat: int) -> None:
        store.register(Worker(id=name, host="host", process_id=1, devices=[], heartbeat=heartbeat))

    for name in ("lives", "silent", "leaves"):
        register(name, 1)
    store.leave("leaves")
    for beat in range(2, 6):
        watch.pass_time(LEASE / 2)
        register("lives", beat)
    assert [worker.id for worker in store.workers()] == ["lives"]
