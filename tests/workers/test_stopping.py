"""What a job leaves that is stopped, handed back or taken away, and what of it goes on."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from tests.workers.test_supervisor import Background, alive
from workers.records import JobState, StopMode


def test_a_job_whose_worker_stood_still_for_too_long_goes_on_by_itself(
    store, run_ids, make_attempts, until, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As of several processes, where torchrun's exit code says no more than that one of them ended.
    program = """
report(1)
while float((directory / "lease-1").read_text()) > time.monotonic():
    time.sleep(0.01)
sys.exit(1)
"""
    beat, woken = store.beat, threading.Event()

    def stall(job_id, owner, lines=()):
        orders = beat(job_id, owner, lines)
        if lines and not woken.is_set():
            assert woken.wait(60)
        return orders

    monkeypatch.setattr(store, "beat", stall)
    work = Background(make_attempts(program, lease_seconds=2.0), run_ids[0])
    until(lambda: store.job(run_ids[0]).step == 1)
    child = store.job(run_ids[0]).process_id
    until(lambda: not alive(child))
    woken.set()
    work.join()
    job = store.job(run_ids[0])
    assert (job.state, job.losses, job.failure) == (JobState.QUEUED, 1, None)


SAVES = """
def stop(number, frame):
    (directory / "saved").write_text(signal.Signals(number).name)
    if number == signal.SIGUSR1:
        finish()
    (directory / "stopped").touch()
    sys.exit(0)

signal.signal(signal.SIGUSR1, stop)
signal.signal(signal.SIGTERM, stop)
report(1, loss=2.0)
wait_for_ever()
"""


def test_a_stop_keeps_what_there_is_as_a_result(store, run_ids, make_attempts, until, tmp_path: Path) -> None:
    work = Background(make_attempts(SAVES), run_ids[0])
    until(lambda: store.job(run_ids[0]).step == 1)
    store.request_stop(run_ids[0], "user")
    work.join()
    job = store.job(run_ids[0])
    assert (job.state, job.result) == (JobState.STOPPED, {"seconds": 1.0, "final_loss": 0.5})
    assert (tmp_path / "runs" / job.id / "saved").read_text() == "SIGUSR1"
    assert [run.id for run in store.trained()] == [job.id]


def test_a_stop_that_discards_leaves_the_log_and_what_was_asked(
    store, run_ids, make_attempts, until, tmp_path: Path
) -> None:
    work = Background(make_attempts(SAVES), run_ids[0])
    until(lambda: store.job(run_ids[0]).step == 1)
    store.request_stop(run_ids[0], "user", StopMode.DISCARD)
    work.join()
    job = store.job(run_ids[0])
    assert (job.state, job.result) == (JobState.STOPPED, None)
    left = sorted(path.name for path in (tmp_path / "runs" / job.id).iterdir())
    assert left == ["job.json", "job.log", "spec.yaml"]


def test_a_stop_that_takes_long_can_be_turned_into_one_that_discards(
    store, run_ids, make_attempts, until, tmp_path: Path
) -> None:
    slow = SAVES.replace("if number", "if number == signal.SIGUSR1: return\n    if number")
    work = Background(make_attempts(slow, stop_grace_seconds=300), run_ids[0])
    until(lambda: store.job(run_ids[0]).step == 1)
    store.request_stop(run_ids[0], "user")
    until((tmp_path / "runs" / run_ids[0] / "saved").exists)
    store.request_stop(run_ids[0], "user", StopMode.DISCARD)
    work.join()
    assert store.job(run_ids[0]).state == JobState.STOPPED
    assert not (tmp_path / "runs" / run_ids[0] / "saved").exists()


def test_a_stop_whose_result_cannot_be_saved_says_so(store, run_ids, make_attempts, until) -> None:
    cause = {"code": "disk_full", "message": "The disk is full.", "field": "", "remedy": "Delete something."}
    program = f"""
def fail(number, frame):
    (directory / "failure.json").write_text({json.dumps(json.dumps(cause))})
    sys.exit(1)

signal.signal(signal.SIGUSR1, fail)
report(1)
wait_for_ever()
"""
    work = Background(make_attempts(program), run_ids[0])
    until(lambda: store.job(run_ids[0]).step == 1)
    store.request_stop(run_ids[0], "user")
    work.join()
    job = store.job(run_ids[0])
    assert (job.state, job.failure) == (JobState.FAILED, cause)


def test_a_studio_that_stops_has_its_jobs_saved_and_hands_them_back(
    store, run_ids, make_attempts, until, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.lifecycle.ending._SHUTDOWN_GRACE_SECONDS", 60.0)
    attempts = make_attempts(SAVES)
    work = Background(attempts, run_ids[0])
    until(lambda: store.job(run_ids[0]).step == 1)
    attempts.supervisor.shutdown.set()
    work.join()
    job = store.job(run_ids[0])
    assert (job.state, job.result, job.losses) == (JobState.QUEUED, None, 0)
    assert (tmp_path / "runs" / job.id / "saved").read_text() == "SIGTERM"

    make_attempts("finish()").execute(job.id)
    assert store.job(job.id).state == JobState.FINISHED
    log = (tmp_path / "runs" / job.id / "job.log").read_text()
    assert log == "--- attempt 1\n--- attempt 2\n"


def test_a_process_that_somebody_else_ends_goes_on_by_itself(store, run_ids, make_attempts, until) -> None:
    work = Background(make_attempts(SAVES), run_ids[0])
    until(lambda: store.job(run_ids[0]).step == 1)
    os.kill(store.job(run_ids[0]).process_id, signal.SIGTERM)
    work.join()
    job = store.job(run_ids[0])
    assert (job.state, job.losses) == (JobState.QUEUED, 1)


def test_a_worker_that_lost_the_job_kills_its_own_process_and_touches_nothing_of_the_next_attempt(
    store, run_ids, make_attempts, until, tmp_path: Path
) -> None:
    attempts = make_attempts("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nreport(1)\nwait_for_ever()")
    beat, woken = store.beat, threading.Event()

    def stall(job_id, owner, lines=()):
        orders = beat(job_id, owner, lines)
        if owner == "worker/1" and orders and orders.stop_mode:
            assert woken.wait(20)
        return orders

    store.beat = stall
    first = Background(attempts, run_ids[0])
    until(lambda: store.job(run_ids[0]).step == 1)
    child = store.job(run_ids[0]).process_id
    store.request_stop(run_ids[0], "user", StopMode.DISCARD)
    until(lambda: store.job(run_ids[0]).heartbeat > 2 and store.lose(store.pulses()[0]))
    store.requeue(run_ids[0], "user", "resumed")

    second = Background(attempts, run_ids[0])
    job = store.job(run_ids[0])
    until(lambda: store.job(job.id).process_id not in (None, child))
    assert not alive(child), "whoever takes the job ends what is left of the attempt before"
    reports = tmp_path / "runs" / job.id / "reports-2.jsonl"
    until(reports.exists)
    woken.set()
    first.join()
    assert alive(store.job(job.id).process_id)
    assert reports.exists()
    attempts.supervisor.shutdown.set()
    second.join()
    moves = [item.after for item in store.transitions(job_id=job.id)]
    assert moves[-3:] == ["running", "interrupted", "queued"]


@pytest.mark.parametrize("fresh", [False, True])
def test_a_process_is_told_whether_to_go_on_and_reports_into_a_file_of_its_own(
    store, run_ids, make_attempts, tmp_path: Path, fresh: bool
) -> None:
    make_attempts("report(1, loss=3.0); sys.exit(1)").execute(run_ids[0])
    store.requeue(run_ids[0], "user", "again", fresh=fresh)
    program = """
print(attempt, json.loads((directory / "job.json").read_text())["resume"])
report(1, loss=2.0)
finish()
"""
    make_attempts(program).execute(run_ids[0])
    directory = tmp_path / "runs" / run_ids[0]
    assert (directory / "job.log").read_text() == f"--- attempt 1\n--- attempt 2\n2 {not fresh}\n"
    assert [len((directory / f"reports-{n}.jsonl").read_text().splitlines()) for n in (1, 2)] == [1, 1]
    assert store.job(run_ids[0]).attempt == 2
