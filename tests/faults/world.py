"""One studio in which something breaks, and what must be true of it afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from itertools import pairwise
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx
import psutil

from gift_core.spec import ExperimentSpec
from tests.faults import hosts
from tests.faults.light_job import STEPS
from tests.services import bound
from workers.kinds import job_directory
from workers.processes import JOB_VARIABLE
from workers.records import ENDED, TRANSITIONS, Job, JobState

_SECONDS = 90
UNDISTURBED = ""
for _step in range(1, STEPS + 1):
    UNDISTURBED = hashlib.sha256(f"{UNDISTURBED}{_step}".encode()).hexdigest()


class World:
    """A data folder, its store, and the processes that work on it."""

    def __init__(self, data: Path, seed: int, urls: Mapping[str, str] | None = None) -> None:
        self.data = data
        self.urls = dict(urls or {})
        self.random = random.Random(seed)
        self.store = hosts.open_store(data, self.urls)
        self.queue = hosts.open_queue(data, self.urls)
        self.processes: list[BaseProcess] = []
        # Ports that servers of this world listen on, for as long as it lasts.
        self.kept: list[socket.socket] = []

    def launch(self, experiments: int = 1) -> list[str]:
        """Queue experiments of two runs; the runs' ids."""
        ids = []
        for _ in range(experiments):
            experiment, _created = self.store.create_experiment(ExperimentSpec(), None)
            ids += [run.id for run in self.store.runs(experiment.id)]
        for run_id in ids:
            self.queue.wake(run_id)
        return ids

    def start_worker(self, **options: Any) -> BaseProcess:
        process = hosts.start("work", self.data, self.urls, **options)
        self.processes.append(process)
        return process

    def start_web(self, run_id: str) -> tuple[BaseProcess, AbstractContextManager[object]]:
        """A web server with a worker, and a stream that somebody has open there."""
        kept = bound(0)
        self.kept.append(kept)
        port = kept.getsockname()[1]
        process = hosts.start("serve", self.data, port)
        self.processes.append(process)
        address = f"http://127.0.0.1:{port}"
        self.until(lambda: answers(address), "the server's answer")
        experiment = self.job(run_id).experiment_id or ""
        topic = {"topic": f"experiment:{experiment}"}
        return process, httpx.stream("GET", f"{address}/api/v1/events", params=topic, timeout=60)

    def until(self, condition: Callable[[], object], what: str = "", seconds: float = _SECONDS) -> None:
        deadline, never = time.monotonic() + seconds, threading.Event()
        while not condition():
            assert time.monotonic() < deadline, f"{what or 'a condition'} did not come true: {self.states()}"
            never.wait(0.005)

    def until_step(self, run_id: str, step: int) -> None:
        """Until the job has taken so many steps, by its own account."""
        self.until(lambda: self.steps_of(run_id) >= step, f"step {step} of {run_id}")

    def has_begun(self, run_id: str, attempt: int, steps: int) -> bool:
        """Whether an attempt has taken so many steps, or has ended."""
        taken = sum(entry["attempt"] == attempt for entry in self.ledger(run_id))
        return taken >= steps or self.job(run_id).state == JobState.FINISHED

    def until_finished(self, *run_ids: str) -> None:
        def finished() -> bool:
            states = [JobState(self.job(run_id).state) for run_id in run_ids]
            assert not set(states) & (ENDED - {JobState.FINISHED}), f"ended another way: {self.states()}"
            return set(states) == {JobState.FINISHED}

        self.until(finished, "the end")

    def job(self, run_id: str) -> Job:
        return self.store.job(run_id)

    def states(self) -> list[tuple[str, str, int, Any]]:
        return [(job.id, job.state, job.attempt, job.failure) for job in self.store.jobs()]

    def directory(self, run_id: str) -> Path:
        return job_directory(self.data, self.job(run_id))

    def ledger(self, run_id: str) -> list[dict[str, Any]]:
        with suppress(FileNotFoundError):
            text = (self.directory(run_id) / "ledger.jsonl").read_text()
            return [json.loads(line) for line in text.splitlines() if line.endswith("}")]
        return []

    def steps_of(self, run_id: str) -> int:
        return max((entry["step"] for entry in self.ledger(run_id)), default=0)

    def kill(self, process: BaseProcess, number: signal.Signals = signal.SIGKILL) -> None:
        with suppress(ProcessLookupError):
            os.kill(process.pid or 0, number)
        if number is signal.SIGKILL:
            process.join()

    def stall(self, process: BaseProcess) -> None:
        """Stop a process where it is, but not in the middle of a write: SQLite has no way to take the lock away."""
        while True:
            self.kill(process, signal.SIGSTOP)
            self.until_stopped(process)
            with suppress(sqlite3.OperationalError), closing(self._connect()) as connection:
                connection.execute("BEGIN IMMEDIATE")
                return
            self.kill(process, signal.SIGCONT)

    def until_stopped(self, process: BaseProcess) -> None:
        """Until all of a process stands still."""
        observed = psutil.Process(process.pid)
        self.until(lambda: observed.status() == psutil.STATUS_STOPPED, "the standstill")

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.data / "studio.sqlite3", timeout=0.2, isolation_level=None)

    def kill_trainer(self, run_id: str, number: signal.Signals = signal.SIGKILL) -> None:
        """The process of a job, if it still has one."""
        process = self.job(run_id).process_id
        if process is not None:
            with suppress(ProcessLookupError):
                os.kill(process, number)

    def resume_what_failed(self, *run_ids: str) -> None:
        """What a person does who sees that a run was killed."""
        for run_id in run_ids:
            if self.job(run_id).state in ENDED - {JobState.FINISHED}:
                self.store.requeue(run_id, "user", "resumed")

    def check(self, *run_ids: str) -> None:
        """Nothing lost, nothing run twice, every record true, nothing left behind."""
        for run_id in run_ids:
            job = self.job(run_id)
            assert job.state == JobState.FINISHED, self.states()
            assert job.result == {"value": UNDISTURBED, "seconds": 0.2}, "it ends as if nothing had happened"
            self._check_ledger(job)
            self._check_history(job)
            self._check_log(job)
            points = [point.step for point in self.store.metrics([run_id], after=0)]
            assert points == sorted(set(points)), "no point is there twice"
            assert points[-1] == STEPS, points
            # A last sign of life may be under way.
            self.until(lambda job=job: not self._half_written(job), f"the last sign of life of {run_id}")
        # A worker that wakes up may yet start one, which sees that its time is over and ends.
        self.until(lambda: not list(self.left_behind()), "the end of all processes")

    def _half_written(self, job: Job) -> list[Path]:
        return [path for path in job_directory(self.data, job).iterdir() if path.name.startswith(".")]

    def _check_ledger(self, job: Job) -> None:
        entries = self.ledger(job.id)
        assert not any(entry.get("twice") for entry in entries), "two processes at once"
        attempts = [entry["attempt"] for entry in entries]
        assert attempts == sorted(attempts), "an attempt that was given up worked on beside the next one"
        last = [entry["step"] for entry in entries if entry["attempt"] == attempts[-1]]
        assert last == list(range(last[0], STEPS + 1)), last

    def _check_log(self, job: Job) -> None:
        """Each attempt that did something has said so, one below the other. One killed before that has no log."""
        said = re.findall(r"^attempt (\d+) goes on", (self.directory(job.id) / "job.log").read_text(), re.MULTILINE)
        worked = {entry["attempt"] for entry in self.ledger(job.id)}
        assert said == sorted(said, key=int), "the log's attempts are mixed up"
        assert worked <= set(map(int, said)), "the log of an earlier attempt is gone"

    def _check_history(self, job: Job) -> None:
        history = self.store.transitions(job_id=job.id)
        assert history[0].before is None
        for earlier, later in pairwise(history):
            assert later.before == earlier.after, history
            assert JobState(later.after) in TRANSITIONS[JobState(earlier.after)], history
            assert later.cause, history
            assert later.owner, history
        assert [item.after for item in history].count("running") == job.attempt, history

    def left_behind(self) -> Iterator[psutil.Process]:
        """Processes of jobs of this studio."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                mark = process.environ().get(JOB_VARIABLE, "")
                if mark.startswith(str(self.data)) and process.status() != psutil.STATUS_ZOMBIE:
                    yield process

    def close(self) -> None:
        for process in self.processes:
            self.kill(process)
            process.join()
        for child in self.left_behind():
            child.kill()
        for kept in self.kept:
            kept.close()
        self.queue.close()
        self.store.close()


def answers(address: str) -> bool:
    """Whether a server answers there."""
    try:
        return httpx.get(f"{address}/healthz", timeout=1).is_success
    except httpx.TransportError:
        return False


@contextmanager
def world_in(data: Path, seed: int, urls: Mapping[str, str] | None = None) -> Iterator[World]:
    world = World(data, seed, urls)
    try:
        yield world
    finally:
        world.close()
