"""A worker: the queue goes on whatever happens to a job, a message or the studio."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gift_core.spec import ExperimentSpec
from workers.devices import Device, DevicePool
from workers.queue import JobQueue
from workers.reaper import Reaper
from workers.records import Job, JobKind, JobState
from workers.worker import Worker

ROOT = Path(__file__).resolve().parents[2]
CPU = Device(name="cpu", title="CPU", memory=1)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    opened = JobQueue(tmp_path / "queue.sqlite3")
    yield opened
    opened.close()


@pytest.fixture
def start(store, queue: JobQueue, make_supervisor) -> Iterator[Callable[..., Worker]]:
    """Start a worker whose jobs' processes run the given program; stopped after the test."""
    with ExitStack() as stack:

        def started(program: str, lease_seconds: float = 15.0) -> Worker:
            supervisor = make_supervisor(program, lease_seconds=lease_seconds)
            reaper = Reaper(store, lease_seconds)
            worker = Worker(store, queue, supervisor, DevicePool([CPU], 1), reaper, look_seconds=0.1)
            worker.start()
            stack.callback(worker.stop)
            return worker

        yield started


def test_a_killed_training_does_not_stop_the_queue(store, run_ids, queue, start, until) -> None:
    for run_id in run_ids:
        queue.wake(run_id)
    first = f"directory.name == {run_ids[0]!r}"
    start(f"os.kill(os.getpid(), signal.SIGKILL) if {first} else finish()")
    until(lambda: store.job(run_ids[1]).state == JobState.FINISHED)
    killed = store.job(run_ids[0])
    assert killed.state == JobState.FAILED
    assert killed.failure["code"] == "killed"


def test_runs_are_trained_one_at_a_time_in_the_order_queued(store, run_ids, queue, start, until) -> None:
    for run_id in run_ids:
        queue.wake(run_id)
    start("report(1, loss=1.0); finish()")
    until(lambda: all(run.state == JobState.FINISHED for run in store.jobs()))
    first, second = (store.job(run_id) for run_id in run_ids)
    assert first.ended <= second.started


def test_a_duplicate_message_trains_once(store, run_ids, queue, start, until, tmp_path: Path) -> None:
    for _ in range(3):
        queue.wake(run_ids[0])
    queue.wake(run_ids[1])
    start("print('trained'); finish()")
    until(lambda: store.job(run_ids[1]).state == JobState.FINISHED)
    assert (tmp_path / "runs" / run_ids[0] / "job.log").read_text() == "--- attempt 1\ntrained\n"


def test_a_lost_message_is_sent_again(store, run_ids, start, until) -> None:
    start("finish()")
    until(lambda: all(store.job(run_id).state == JobState.FINISHED for run_id in run_ids))


def test_a_run_stopped_while_queued_is_never_trained(store, run_ids, queue, start, until, tmp_path) -> None:
    for run_id in run_ids:
        queue.wake(run_id)
    store.request_stop(run_ids[0], "user")
    start("finish()")
    until(lambda: store.job(run_ids[1]).state == JobState.FINISHED)
    assert store.job(run_ids[0]).state == JobState.STOPPED
    assert not (tmp_path / "runs" / run_ids[0]).exists()


def test_a_job_that_needs_no_device_runs_beside_a_training(store, run_ids, start, until) -> None:
    start("finish() if asked['kind'] == 'inspect' else wait_for_ever()")
    until(lambda: store.job(run_ids[0]).process_id)
    store.add_job(Job(id="look", kind=JobKind.INSPECT, label="look", spec={}, devices=0))
    until(lambda: store.job("look").state == JobState.FINISHED)
    first, second = (store.job(run_id) for run_id in run_ids)
    assert (first.state, first.placed_on, second.state) == (JobState.RUNNING, "cpu", JobState.QUEUED)


def test_a_paused_queue_goes_on_when_it_is_told_to(store, run_ids, queue, start, until) -> None:
    store.set_paused(True, "admin")
    queue.wake(run_ids[0])
    start("finish()")
    until(lambda: not queue.pending())
    assert [job.state for job in store.jobs()] == ["queued", "queued"]
    store.set_paused(False, "admin")
    until(lambda: all(job.state == JobState.FINISHED for job in store.jobs()))


def test_a_worker_tells_what_it_computes_on_until_it_ends(store, start, until) -> None:
    worker = start("finish()")
    until(store.workers)
    (record,) = store.workers()
    assert (record.id, record.devices) == (worker.id, [CPU.model_dump()])
    worker.stop()
    assert store.workers() == []


def test_stopping_the_studio_hands_the_job_back_and_the_next_start_goes_on(store, run_ids, start, until) -> None:
    worker = start("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nreport(1)\nwait_for_ever()")
    until(lambda: store.job(run_ids[0]).step == 1)
    assert worker.alive()
    began = time.monotonic()
    worker.stop()
    assert time.monotonic() - began < 5
    assert not worker.alive()
    first, second = (store.job(run_id) for run_id in run_ids)
    assert (first.state, first.losses, second.state) == (JobState.QUEUED, 0, JobState.QUEUED)
    moves = store.transitions(job_id=run_ids[0])
    assert ("interrupted", "the studio was stopped") in [(item.after, item.cause) for item in moves]

    start("print(asked['attempt'], asked['resume']); finish()")
    until(lambda: all(store.job(run_id).state == JobState.FINISHED for run_id in run_ids))
    assert store.job(run_ids[0]).attempt == 2


def test_a_message_is_readable_and_not_code(queue: JobQueue, tmp_path: Path) -> None:
    queue.wake("run_abc")
    assert queue.pending() == ["run_abc"]
    other = JobQueue(tmp_path / "queue.sqlite3")
    assert other.pending() == ["run_abc"]
    other.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("queue.sqlite3*"))
    assert b'"args": ["run_abc"]' in stored


STUDIO = """
import os, signal, sys
from pathlib import Path
from workers.database import Database
from workers.devices import Device, DevicePool
from workers.queue import JobQueue
from workers.reaper import Reaper
from workers.settings import job_environment
from workers.store import JobStore
from workers.supervisor import Patience, Supervisor
from workers.worker import Worker

data, script, code = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
command = lambda directory, job: [sys.executable, script, str(directory), str(os.getpid())]
store = JobStore(Database.in_file(data / "studio.sqlite3"))
environment = job_environment(1) | {"PYTHONPATH": code}
supervisor = Supervisor(store, data, command, lambda job: environment, Patience())
pool = DevicePool([Device(name="cpu", title="CPU", memory=1)], 1)
Worker(store, JobQueue(data / "queue.sqlite3"), supervisor, pool, Reaper(store, 15)).start()
signal.pause()
"""
CHILD = """
import json, signal, sys
from workers.job_process import die_with
die_with(int(sys.argv[2]))
with open(sys.argv[1] + "/reports-1.jsonl", "w") as file:
    file.write(json.dumps({"step": 1, "time": 1.0}) + "\\n")
while True:
    signal.pause()
"""


def test_a_killed_studio_takes_its_job_along_and_the_next_one_goes_on_with_it(
    store, run_ids, start, until, tmp_path: Path
) -> None:
    script = tmp_path / "orphan.py"
    script.write_text(CHILD)
    studio = subprocess.Popen([sys.executable, "-c", STUDIO, str(tmp_path), str(script), str(ROOT)], cwd=ROOT)
    until(lambda: store.job(run_ids[0]).step == 1)
    child = Path(f"/proc/{store.job(run_ids[0]).process_id}")
    assert child.exists()
    studio.send_signal(signal.SIGKILL)
    studio.wait()
    until(lambda: not child.exists() or " Z " in (child / "stat").read_text())
    assert store.job(run_ids[0]).state == JobState.RUNNING
    (silent,) = store.workers()

    start("finish()", lease_seconds=2.0)
    until(lambda: all(store.job(run_id).state == JobState.FINISHED for run_id in run_ids))
    lost = store.job(run_ids[0])
    assert (lost.attempt, lost.losses) == (2, 1)
    assert "its worker was lost" in [item.cause for item in store.transitions(job_id=lost.id)]
    until(lambda: silent.id not in [worker.id for worker in store.workers()])
    assert store.create_experiment(ExperimentSpec(), None)[1]
