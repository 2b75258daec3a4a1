"""Who has a job: one worker at a time, for as long as it is heard of, whatever the clocks say."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.workers.conftest import Claim
from workers import line as line_of_jobs
from workers.metrics import MetricLine
from workers.moves import IllegalTransitionError, move
from workers.reaper import Reaper
from workers.records import TRANSITIONS, Job, JobState, StopMode, Worker
from workers.store import MOST_LOSSES, JobStore

LEASE = 10.0


def line(number: int, step: int | None = None, **values: float) -> MetricLine:
    step = number * 10 if step is None else step
    return MetricLine(number=number, step=step, time=1.0, phase="training", total_steps=160, values=values)


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


def owner(job: Job) -> str:
    assert job.owner is not None
    return job.owner


def test_one_of_many_workers_gets_the_job(store: JobStore, run_ids: list[str]) -> None:
    together = threading.Barrier(8)

    def take(worker: int) -> Job | None:
        together.wait()
        return store.claim(
            f"worker {worker}", "host", lambda waiting: next((job for job in waiting if job.id == run_ids[0]), None)
        )

    with ThreadPoolExecutor(8) as threads:
        winners = [job for job in threads.map(take, range(8)) if job]
    assert len(winners) == 1
    assert store.job(run_ids[0]).owner == winners[0].owner
    assert [job.id for job in store.waiting()] == run_ids[1:]


@pytest.mark.parametrize(("before", "after"), list(itertools.product(JobState, JobState)))
def test_only_the_transitions_of_the_table_are_possible(
    store: JobStore, run_ids: list[str], claim: Claim, before: JobState, after: JobState
) -> None:
    bring_to(store, run_ids[0], before, claim)
    history = store.transitions(job_id=run_ids[0])
    legal = after in TRANSITIONS[before]
    with store.database.write() as session:
        job = session.get(Job, run_ids[0])
        assert job is not None
        if legal:
            move(session, job, after, by="test")
        else:
            with pytest.raises(IllegalTransitionError):
                move(session, job, after, by="test")
    assert store.job(run_ids[0]).state == (after if legal else before)
    assert len(store.transitions(job_id=run_ids[0])) == len(history) + legal


def bring_to(store: JobStore, job_id: str, state: JobState, claim: Claim) -> None:
    if state is JobState.QUEUED:
        return
    job = claim(job_id)
    if state in (JobState.STOPPING, JobState.STOPPED):
        store.request_stop(job_id, "user")
    if state not in (JobState.RUNNING, JobState.STOPPING):
        assert store.end(job_id, owner(job), state, "test")


def test_every_change_of_state_is_kept_with_who_and_why(store: JobStore, run_ids: list[str], claim: Claim) -> None:
    bring_to(store, run_ids[0], JobState.STOPPED, claim)
    history = store.transitions(job_id=run_ids[0])
    assert [(item.before, item.after, item.owner) for item in history] == [
        (None, "queued", ""),
        ("queued", "running", "worker"),
        ("running", "stopping", "user"),
        ("stopping", "stopped", "worker/1"),
    ]
    assert [item.id for item in store.transitions(after=history[1].id or 0, job_id=run_ids[0])] == [
        item.id for item in history[2:]
    ]


def test_a_heartbeat_tells_the_worker_what_to_do(store: JobStore, run_ids: list[str], claim: Claim) -> None:
    job = claim(run_ids[0])
    before = store.job(job.id).heartbeat
    orders = store.beat(job.id, owner(job))
    assert orders is not None
    assert (orders.state, orders.stop_mode) == (JobState.RUNNING, None)
    assert store.job(job.id).heartbeat == before + 1
    store.request_stop(job.id, "user", StopMode.DISCARD)
    orders = store.beat(job.id, owner(job))
    assert orders is not None
    assert (orders.state, orders.stop_mode) == (JobState.STOPPING, StopMode.DISCARD)


def refused(store: JobStore, job_id: str, owner: str) -> bool:
    """Whether nothing is taken from this owner."""
    before, points = store.job(job_id), store.metrics(None, after=0)
    taken = (
        store.beat(job_id, owner, [line(1, loss=9.0)]),
        store.started(job_id, owner, 1) or None,
        store.end(job_id, owner, JobState.FINISHED, "finished") or None,
        store.hand_back(job_id, owner, "stopped") or None,
    )
    return taken == (None,) * 4 and (store.job(job_id), store.metrics(None, after=0)) == (before, points)


def test_a_worker_that_has_not_got_the_job_cannot_touch_it(store: JobStore, run_ids: list[str], claim: Claim) -> None:
    assert refused(store, run_ids[0], "")
    claim(run_ids[0])
    for other in ("other", "other/1", "worker", "worker/2", ""):
        assert refused(store, run_ids[0], other)


def test_a_worker_that_stalls_loses_the_job_even_if_it_takes_it_again(
    store: JobStore, run_ids: list[str], claim: Claim, watch: Watch
) -> None:
    stalled = claim(run_ids[0])
    store.beat(stalled.id, owner(stalled), [line(1, loss=3.0)])
    watch.pass_time(LEASE + 2)
    waits = store.job(stalled.id)
    assert (waits.state, waits.owner, waits.losses) == (JobState.QUEUED, None, 1)
    assert refused(store, stalled.id, owner(stalled))

    again = claim(stalled.id)
    assert (again.attempt, again.fresh) == (2, False)
    assert refused(store, stalled.id, owner(stalled)), "the same worker, but not the same attempt"
    assert store.end(again.id, owner(again), JobState.FINISHED, "finished")
    moves = [(item.after, item.cause) for item in store.transitions(job_id=again.id)]
    assert moves[2:4] == [("interrupted", "its worker was lost"), ("queued", "goes on by itself")]


def test_a_job_that_beats_is_never_lost(store: JobStore, run_ids: list[str], claim: Claim, watch: Watch) -> None:
    job = claim(run_ids[0])
    for _ in range(10):
        watch.pass_time(LEASE - 2)
        assert store.beat(job.id, owner(job)) is not None
    assert store.job(job.id).state == JobState.RUNNING


@pytest.mark.parametrize("jump", [-(10.0**8), 10.0**8])
def test_a_clock_that_is_set_changes_nothing(
    store: JobStore, run_ids: list[str], claim: Claim, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    watch = Watch(store)
    beats, silent = claim(run_ids[0]), claim(run_ids[1])
    watch.pass_time(LEASE - 3)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + jump)
    watch.pass_time(1)
    assert [run.state for run in store.jobs()] == ["running", "running"], "the jump expires nobody"
    store.beat(beats.id, owner(beats))
    watch.pass_time(4)
    assert store.job(beats.id).state == JobState.RUNNING
    assert store.job(silent.id).state == JobState.QUEUED, "and saves nobody"


def test_a_reaper_that_stood_still_takes_nothing_from_the_others(
    store: JobStore, run_ids: list[str], claim: Claim, watch: Watch
) -> None:
    job = claim(run_ids[0])
    watch.pass_time(LEASE - 2)
    watch.clock.now += 100 * LEASE
    watch.pass_time(LEASE - 1)
    assert store.job(job.id).state == JobState.RUNNING
    watch.pass_time(2)
    assert store.job(job.id).state == JobState.QUEUED


def test_a_sign_of_life_at_the_last_moment_counts(store: JobStore, run_ids: list[str], claim: Claim) -> None:
    job = claim(run_ids[0])
    (pulse,) = store.pulses()
    store.beat(job.id, owner(job))
    assert store.lose(pulse) is None
    assert store.job(job.id).state == JobState.RUNNING


def test_a_job_that_is_lost_again_and_again_waits_for_a_person(
    store: JobStore, run_ids: list[str], claim: Claim
) -> None:
    for loss in range(1, MOST_LOSSES + 2):
        claim(run_ids[0])
        lost = store.lose(store.pulses()[0])
        assert lost is not None
        assert lost.losses == loss
    assert lost.state == JobState.INTERRUPTED
    assert lost.failure is not None
    assert lost.failure["code"] == "lost_worker"
    assert lost.failure["remedy"]
    assert store.requeue(lost.id, "user", "resumed").losses == 0


def test_a_lost_job_that_was_to_be_stopped_does_not_go_on(store: JobStore, run_ids: list[str], claim: Claim) -> None:
    claim(run_ids[0])
    store.request_stop(run_ids[0], "user")
    lost = store.lose(store.pulses()[0])
    assert lost is not None
    assert lost.state == JobState.INTERRUPTED


@pytest.mark.parametrize(("is_loss", "losses"), [(False, 0), (True, 1)])
def test_a_job_handed_back_is_queued_again(
    store: JobStore, run_ids: list[str], claim: Claim, is_loss: bool, losses: int
) -> None:
    job = claim(run_ids[0])
    assert store.hand_back(job.id, owner(job), "the studio was stopped", is_loss=is_loss)
    waits = store.job(job.id)
    assert (waits.state, waits.losses, waits.failure) == (JobState.QUEUED, losses, None)
    assert [item.id for item in store.waiting()] == run_ids, "in its old place"


def test_an_attempt_that_goes_on_forgets_what_came_after_and_one_that_begins_forgets_all(
    store: JobStore, run_ids: list[str], claim: Claim
) -> None:
    def attempt(start: int, *losses: float) -> list[tuple[int, float]]:
        job = claim(run_ids[0])
        reports = [line(number, start + number - 1, loss=loss) for number, loss in enumerate(losses, 2)]
        store.beat(job.id, owner(job), [line(1, start), *reports])
        store.hand_back(job.id, owner(job), "stopped")
        return [(point.step, point.values["loss"]) for point in store.metrics([job.id], after=0)]

    other = claim(run_ids[1])
    store.beat(other.id, owner(other), [line(1, 5, loss=9.0)])
    assert attempt(0, 1.0, 2.0, 3.0) == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert attempt(2, 3.5, 4.5) == [(1, 1.0), (2, 2.0), (3, 3.5), (4, 4.5)]
    assert store.job(run_ids[0]).step == 4
    assert attempt(0, 7.0) == [(1, 7.0)]
    assert [point.values["loss"] for point in store.metrics([other.id], after=0)] == [9.0]


def test_metrics_are_read_by_cursor_and_stored_once(store: JobStore, run_ids: list[str], claim: Claim) -> None:
    one, other = (claim(run_id) for run_id in run_ids)
    store.beat(one.id, owner(one), [line(1), line(2, loss=2.0), line(3, loss=1.5, tokens_per_second=900.0)])
    store.beat(other.id, owner(other), [line(1, loss=3.0)])
    first = store.metrics(None, after=0)
    store.beat(one.id, owner(one), [line(2, loss=2.0), line(3, loss=1.5), line(4, loss=1.0)])
    news = store.metrics(None, after=first[-1].cursor or 0)

    assert [(point.job_id, point.line, point.values["loss"]) for point in first + news] == [
        (one.id, 2, 2.0),
        (one.id, 3, 1.5),
        (other.id, 1, 3.0),
        (one.id, 4, 1.0),
    ]
    cursors = [point.cursor or 0 for point in first + news]
    assert cursors == sorted(set(cursors))
    assert [point.line for point in store.metrics([other.id], after=0)] == [1]
    assert store.metrics([], after=0) == []
    job = store.job(one.id)
    assert (job.step, job.total_steps, job.phase, job.tokens_per_second) == (40, 160, "training", 900.0)
    assert store.head()[0] == cursors[-1]


def test_a_worker_is_listed_until_it_leaves_or_is_silent(store: JobStore, watch: Watch) -> None:
    def register(name: str, heartbeat: int) -> None:
        store.register(Worker(id=name, host="host", process_id=1, devices=[], heartbeat=heartbeat))

    for name in ("beats", "silent", "leaves"):
        register(name, 1)
    store.leave("leaves")
    for beat in range(2, 6):
        watch.pass_time(LEASE / 2)
        register("beats", beat)
    assert [worker.id for worker in store.workers()] == ["beats"]


def test_a_job_that_was_to_begin_anew_and_never_came_to_it_still_begins_anew(
    store: JobStore, run_ids: list[str], claim: Claim
) -> None:
    def lose() -> bool:
        return store.lose(store.pulses()[0]) is not None

    bring_to(store, run_ids[0], JobState.FAILED, claim)
    store.requeue(run_ids[0], "user", "retried", fresh=True)
    assert claim(run_ids[0]).fresh
    assert lose()
    again = claim(run_ids[0])
    assert again.fresh
    store.beat(again.id, owner(again), [line(1, 0), line(2, 1, loss=1.0)])
    assert lose()
    assert not claim(run_ids[0]).fresh, "it has begun: now it goes on"


def test_a_side_job_does_not_stand_behind_a_long_line_of_trainings(
    store: JobStore, run_ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_of_jobs, "_LOOKED_AT", 2)
    store.add_job(Job(id="look", kind="inspect", label="look", spec={}, devices=0))
    seen = []
    store.claim("worker", "host", lambda waiting: seen.extend(job.id for job in waiting))
    assert "look" in seen
