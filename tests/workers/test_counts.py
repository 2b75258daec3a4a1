"""Numbers about the store, the same on both databases."""

from __future__ import annotations

from gift_core.spec import ExperimentSpec
from workers.counts import Counts, DeviceCount, Ended
from workers.database import Database
from workers.metrics import MetricLine
from workers.readiness import check_store
from workers.records import Job, JobKind, JobState, StopMode, Worker
from workers.store import JobStore


def test_what_is_counted_is_what_happened(database_url: str) -> None:
    database = Database(database_url)
    store, counts = JobStore(database), Counts(database.read)
    assert (counts.jobs(), counts.longest_wait(), counts.devices(), counts.newest_point()) == ({}, None, [], 0)
    store.create_experiment(ExperimentSpec(), None)
    store.register(Worker(id="w", host="here", process_id=1, devices=[{"name": "cuda:0"}, {"name": "cpu"}]))
    before = counts.newest_transition()
    waiting = store.waiting()
    job = store.claim("w", "here", lambda queued, _: queued[0], lambda _, __: ["cuda:0"])
    assert job
    store.started(job.id, job.owner or "", 1)
    lines = [MetricLine(number=step, step=step, time=1.0, values={"loss": 1.0}) for step in (1, 2)]
    store.beat(job.id, job.owner or "", lines)
    assert counts.devices() == [DeviceCount("here", "cpu", 1, 0), DeviceCount("here", "cuda", 1, 1)]
    assert counts.jobs() == {("train", "queued"): 1, ("train", "running"): 1}
    assert counts.longest_wait() == waiting[1].created
    assert counts.newest_point() == 2
    assert counts.store_bytes() > 0

    store.end(job.id, job.owner or "", JobState.FAILED, "killed", failure={"code": "killed"})
    store.request_stop(waiting[1].id, "me", StopMode.DISCARD)
    ended, seen = counts.ended_since(before)
    assert [(each.kind, each.state, each.cause) for each in ended] == [
        ("train", JobState.FAILED, "killed"),
        ("train", JobState.STOPPED, ""),
    ]
    # One that was never taken did not run.
    assert ended[0].seconds is not None
    assert ended[1] == Ended("train", JobState.STOPPED, "", None)
    assert counts.ended_since(seen) == ([], seen)
    store.close()


def test_a_long_history_is_read_to_its_end(database_url: str) -> None:
    database = Database(database_url)
    store, counts = JobStore(database), Counts(database.read)
    store.add_job(Job(id="dn_1", kind=JobKind.DENOISE, label="", spec={}))
    for _ in range(260):
        store.request_stop("dn_1", "me")
        store.requeue("dn_1", "me", "again")
    # 521 changes of state: more than are read at once.
    ended, _ = counts.ended_since(0)
    assert len(ended) == 260
    store.close()


def test_being_asked_whether_one_is_ready_writes_nothing(database_url: str) -> None:
    database = Database(database_url)
    store = JobStore(database)
    check_store(database)
    check_store(database)
    assert not store.paused
    with database.read() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM switch").scalar_one() == 0
    store.close()
