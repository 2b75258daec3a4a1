"""A worker: the queue goes on whatever happens to a job, a message or the studio."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.stopwatch import stopwatch
from tests.workers.test_supervisor import alive
from workers.devices import Device, DevicePool
from workers.queue import JobQueue
from workers.reaper import Reaper
from workers.records import Job, JobKind, JobState
from workers.worker import Worker

ROOT = Path(__file__).resolve().parents[2]
LEASE_SECONDS = 2.0
CPU = Device(name="cpu", title="CPU", memory=1)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    opened = JobQueue(tmp_path / "queue.sqlite3")
    yield opened
    opened.close()


@pytest.fixture
def start(store, queue: JobQueue, make_attempts) -> Iterator[Callable[[str], Worker]]:
    """Start a worker whose jobs' process runs the given program; stopped after the test."""
    with ExitStack() as stack:

        def started(program: str) -> Worker:
            supervisor = make_attempts(program, lease_seconds=LEASE_SECONDS, stop_grace_seconds=3600.0).supervisor
            reaper = Reaper(store, LEASE_SECONDS)
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


def test_stopping_the_studio_hands_its_job_back_and_the_next_one_goes_on_with_it(
    store, run_ids, start, until, queue
) -> None:
    for run_id in run_ids:
        queue.wake(run_id)
    worker = start("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nreport(1)\nwait_for_ever()")
    until(lambda: store.job(run_ids[0]).step == 1)
    assert worker.alive()
    assert [each.id for each in store.workers()] == [worker.id]
    # Not after the hour that a job may take which somebody stops.
    with stopwatch() as seconds:
        worker.stop()
        assert seconds() < 5
    assert not worker.alive()
    assert store.workers() == []
    handed_back = store.job(run_ids[0])
    assert (handed_back.state, handed_back.losses) == (JobState.QUEUED, 0)
    assert [(item.after, item.cause) for item in store.transitions(job_id=run_ids[0])][-2:] == [
        ("interrupted", "the studio was stopped"),
        ("queued", "goes on by itself"),
    ]
    assert store.job(run_ids[1]).state == JobState.QUEUED
    start("finish()")
    until(lambda: all(store.job(run_id).state == JobState.FINISHED for run_id in run_ids))
    assert store.job(run_ids[0]).attempt == 2


def test_a_job_that_needs_no_device_runs_beside_a_training(store, run_ids, start, until) -> None:
    start("finish() if directory.name == 'look' else wait_for_ever()")
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


def test_a_message_is_readable_and_not_code(queue: JobQueue, tmp_path: Path) -> None:
    queue.wake("run_abc")
    assert queue.pending() == ["run_abc"]
    other = JobQueue(tmp_path / "queue.sqlite3")
    assert other.pending() == ["run_abc"]
    other.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("queue.sqlite3*"))
    assert b'"args": ["run_abc"]' in stored


STUDIO = """
import signal, sys
from pathlib import Path
from tests.workers.conftest import supervisor_of
from workers.database import Database
from workers.devices import Device, DevicePool
from workers.queue import JobQueue
from workers.reaper import Reaper
from workers.store import JobStore
from workers.supervisor import Patience
from workers.worker import Worker

data, program = Path(sys.argv[1]), sys.argv[2]
store = JobStore(Database.in_file(data / "studio.sqlite3"))
supervisor = supervisor_of(store, data, program, Patience(2))
pool = DevicePool([Device(name="cpu", title="CPU", memory=1)], 1)
Worker(store, JobQueue(data / "queue.sqlite3"), supervisor, pool, Reaper(store, 2)).start()
signal.pause()
"""
CHILD = """
from workers.job_process import die_with
die_with(os.getppid())
report(1)
wait_for_ever()
"""


def test_a_killed_studio_takes_its_job_along_and_the_next_one_goes_on_with_it(
    store, run_ids, start, until, tmp_path: Path
) -> None:
    program = f"sys.path.insert(0, {str(ROOT)!r})\n{CHILD}"
    studio = subprocess.Popen([sys.executable, "-c", STUDIO, str(tmp_path), program], cwd=ROOT)
    until(lambda: store.job(run_ids[0]).step == 1)
    child = store.job(run_ids[0]).process_id
    assert alive(child)
    studio.send_signal(signal.SIGKILL)
    studio.wait()
    until(lambda: not alive(child))
    assert store.job(run_ids[0]).state == JobState.RUNNING

    start("finish()")
    until(lambda: all(store.job(run_id).state == JobState.FINISHED for run_id in run_ids))
    assert [(item.after, item.owner) for item in store.transitions(job_id=run_ids[0])][2:4] == [
        ("interrupted", "reaper"),
        ("queued", "reaper"),
    ]
    assert len(store.workers()) == 1, "the killed one could not say that it ended"


def test_waiting_jobs_run_although_the_queue_was_damaged(store, run_ids, tmp_path, until, request) -> None:
    """They were announced in the file that is gone, and are in the store."""
    before = JobQueue(tmp_path / "queue.sqlite3")
    for run_id in run_ids:
        before.wake(run_id)
    before.close()
    (tmp_path / "queue.sqlite3").write_bytes(bytes(range(256)) * 64)
    request.getfixturevalue("start")("finish()")
    until(lambda: {store.job(run_id).state for run_id in run_ids} == {JobState.FINISHED})
