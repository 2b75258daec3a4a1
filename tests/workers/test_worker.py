"""The worker inside the web process: the queue goes on whatever happens to a run, a message or the studio."""

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
from workers.embedded import EmbeddedWorker
from workers.queue import JobQueue
from workers.records import RunState

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    opened = JobQueue(tmp_path / "queue.sqlite3")
    yield opened
    opened.close()


@pytest.fixture
def start(store, queue: JobQueue, make_supervisor) -> Iterator[Callable[[str], EmbeddedWorker]]:
    """Start a worker whose training process runs the given program; stopped after the test."""
    with ExitStack() as stack:

        def started(program: str) -> EmbeddedWorker:
            worker = EmbeddedWorker(store, queue, make_supervisor(program), reap_seconds=0.1)
            worker.start()
            stack.callback(worker.stop)
            return worker

        yield started


def test_a_killed_training_does_not_stop_the_queue(store, run_ids, queue, start, until) -> None:
    for run_id in run_ids:
        queue.enqueue(run_id)
    first = f"directory.name == {run_ids[0]!r}"
    start(f"os.kill(os.getpid(), signal.SIGKILL) if {first} else finish()")
    until(lambda: store.run(run_ids[1]).state == RunState.FINISHED)
    killed = store.run(run_ids[0])
    assert killed.state == RunState.FAILED
    assert killed.failure["code"] == "killed"


def test_runs_are_trained_one_at_a_time_in_the_order_queued(store, run_ids, queue, start, until) -> None:
    for run_id in run_ids:
        queue.enqueue(run_id)
    start("report(1, loss=1.0); finish()")
    until(lambda: all(run.state == RunState.FINISHED for run in store.runs()))
    first, second = (store.run(run_id) for run_id in run_ids)
    assert first.ended <= second.started


def test_a_duplicate_message_trains_once(store, run_ids, queue, start, until, tmp_path: Path) -> None:
    for _ in range(3):
        queue.enqueue(run_ids[0])
    queue.enqueue(run_ids[1])
    start("print('trained'); finish()")
    until(lambda: store.run(run_ids[1]).state == RunState.FINISHED)
    assert (tmp_path / "runs" / run_ids[0] / "train.log").read_text() == "trained\n"


def test_a_lost_message_is_sent_again(store, run_ids, start, until) -> None:
    start("finish()")
    until(lambda: all(store.run(run_id).state == RunState.FINISHED for run_id in run_ids))


def test_a_run_stopped_while_queued_is_never_trained(store, run_ids, queue, start, until, tmp_path) -> None:
    for run_id in run_ids:
        queue.enqueue(run_id)
    store.request_stop(run_ids[0], "user")
    start("finish()")
    until(lambda: store.run(run_ids[1]).state == RunState.FINISHED)
    assert store.run(run_ids[0]).state == RunState.STOPPED
    assert not (tmp_path / "runs" / run_ids[0]).exists()


def test_stopping_the_studio_interrupts_the_training_and_keeps_the_queue(store, run_ids, start, until, queue) -> None:
    for run_id in run_ids:
        queue.enqueue(run_id)
    worker = start("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nreport(1)\nwait_for_ever()")
    until(lambda: store.run(run_ids[0]).step == 1)
    assert worker.alive()
    began = time.monotonic()
    worker.stop()
    assert time.monotonic() - began < 4
    assert not worker.alive()
    interrupted = store.run(run_ids[0])
    assert interrupted.state == RunState.INTERRUPTED
    assert "studio was stopped" in interrupted.failure["message"]
    assert store.run(run_ids[1]).state == RunState.QUEUED


def test_a_message_is_readable_and_not_code(queue: JobQueue, tmp_path: Path) -> None:
    queue.enqueue("run_abc")
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
from workers.embedded import EmbeddedWorker
from workers.queue import JobQueue
from workers.settings import training_environment
from workers.store import RunStore
from workers.supervisor import Supervisor

data, script, code = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
command = lambda directory: [sys.executable, script, str(directory), str(os.getpid())]
store = RunStore(Database.in_file(data / "studio.sqlite3"))
environment = training_environment(1) | {"PYTHONPATH": code}
supervisor = Supervisor(store, data / "runs", command, environment, lease_seconds=1)
EmbeddedWorker(store, JobQueue(data / "queue.sqlite3"), supervisor).start()
signal.pause()
"""
CHILD = """
import json, signal, sys
from workers.training_process import die_with
die_with(int(sys.argv[2]))
with open(sys.argv[1] + "/metrics.jsonl", "w") as file:
    file.write(json.dumps({"step": 1, "time": 1.0}) + "\\n")
while True:
    signal.pause()
"""


def test_a_killed_studio_takes_its_training_along_and_the_next_one_says_so(
    store, run_ids, start, until, tmp_path: Path
) -> None:
    script = tmp_path / "orphan.py"
    script.write_text(CHILD)
    studio = subprocess.Popen([sys.executable, "-c", STUDIO, str(tmp_path), str(script), str(ROOT)], cwd=ROOT)
    until(lambda: store.run(run_ids[0]).step == 1)
    child = Path(f"/proc/{store.run(run_ids[0]).process_id}")
    assert child.exists()
    studio.send_signal(signal.SIGKILL)
    studio.wait()
    until(lambda: not child.exists() or " Z " in (child / "stat").read_text())
    assert store.run(run_ids[0]).state == RunState.RUNNING

    start("finish()")
    until(lambda: store.run(run_ids[0]).state == RunState.INTERRUPTED)
    assert store.run(run_ids[0]).failure["code"] == "lost_worker"
    until(lambda: store.run(run_ids[1]).state == RunState.FINISHED)
    assert store.create_experiment(ExperimentSpec(), None)[1]
