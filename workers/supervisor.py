"""Runs each attempt at a job in a process group of its own, and sees to it that every attempt ends with a cause."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gift_core.reporting import SPEC_FILE, write_atomically
from gift_core.spec import RunSpec
from workers.context import JOB_FILE, LOG_FILE, JobFile, channel
from workers.devices import visible_devices
from workers.kinds import job_directory
from workers.lease import Lease, lease_file
from workers.metrics import MetricsTail
from workers.outcome import (
    DISCARDED,
    STOPPED,
    STUDIO_STOPPED,
    WORKER_STALLED,
    Failure,
    Outcome,
    clear,
    outcome_of,
)
from workers.processes import Process, exits_within, kill_everything_of, mark, signal_everything_of, signal_group
from workers.records import Job, JobKind, JobState, StopMode
from workers.store import JobStore

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_SHUTDOWN_GRACE_SECONDS = 2.0
_DISCARD_GRACE_SECONDS = 2.0
_ASK_AGAIN_SECONDS = 1.0
_CODE = Path(__file__).resolve().parents[1]
# A process that has not been told for this share of the lease that its job is still its own ends itself: before the
# lease is over for everybody else.
_OWN_SHARE = 0.6

Command = Callable[[Path, Job], list[str]]
Environment = Callable[[Job], Mapping[str, str]]


def job_command(data: Path) -> Command:
    """The command that carries out a job and dies with this process; of several devices, with a process on each."""

    def command(directory: Path, job: Job) -> list[str]:
        module = ["-m", "workers.job_process", "--directory", str(directory), "--data", str(data)]
        module += ["--lease", str(directory / lease_file(job.attempt))]
        if job.devices > 1:
            launcher = ["-m", "workers.launcher", str(os.getpid()), str(job.devices)]
            return [sys.executable, *launcher, *module[1:]]
        return [sys.executable, *module, "--parent", str(os.getpid())]

    return command


@dataclass(frozen=True)
class Patience:
    """Seconds: for how long a silent worker has its job, and a stopped job may take to save."""

    lease: float = 15.0
    stop_grace: float = 300.0

    @property
    def beat(self) -> float:
        """Between two signs of life."""
        return min(1.0, self.lease / 10)


class Supervisor:
    """Carries out jobs of one worker. Set `shutdown` to hand the current ones back and to take no more.

    `data` is the studio's folder, `environment` all that a job's process inherits.
    """

    def __init__(
        self, store: JobStore, data: Path, command: Command, environment: Environment, patience: Patience
    ) -> None:
        self.shutdown = threading.Event()
        self._store = store
        self._data = data
        self._command = command
        self._environment = environment
        self._patience = patience

    def execute(self, job: Job, placed_on: Sequence[str]) -> None:
        """Carry out a job that this worker has claimed, to its end."""
        try:
            outcome = self._attempt(job, job_directory(self._data, job), placed_on)
        except Exception as error:
            logger.exception("job %s could not be supervised", job.id)
            message = f"It could not be supervised ({type(error).__name__})."
            outcome = Outcome.failed(Failure(code="internal", message=message, remedy="See the server's log."))
        if not self._conclude(job, outcome):
            logger.warning("job %s was taken away before it ended", job.id)

    def _conclude(self, job: Job, outcome: Outcome) -> bool:
        owner = job.owner or ""
        if outcome.state is JobState.INTERRUPTED:
            by_others = outcome is not STUDIO_STOPPED
            return self._store.hand_back(job.id, owner, outcome.cause, is_loss=by_others)
        failure = outcome.failure.model_dump() if outcome.failure else None
        return self._store.end(job.id, owner, outcome.state, outcome.cause, outcome.result, failure)

    def _attempt(self, job: Job, directory: Path, placed_on: Sequence[str]) -> Outcome:
        owner = job.owner or ""
        if left := kill_everything_of(job.id, range(job.attempt)):
            logger.warning("%d processes of an earlier attempt at %s were still there", left, job.id)
        self._prepare(job, directory)
        tail = MetricsTail(directory / channel(job.attempt))
        lease = Lease(directory / lease_file(job.attempt), self._patience.lease * _OWN_SHARE)
        lease.renew(time.monotonic())
        process = self._spawn(job, directory, placed_on)
        try:
            self._store.started(job.id, owner, process.pid, ",".join(placed_on))
            forced = self._watch(job, process, lease, tail)
        finally:
            signal_group(process, signal.SIGKILL)
            exit_code = process.wait()
            # The next job gets the memory only once it is free.
            kill_everything_of(job.id, (job.attempt,))
        outcome = self._outcome(forced, outcome_of(directory, exit_code), stalled=lease.is_over)
        lease.remove()
        # What another worker has by now is not ours to remove.
        if self._store.beat(job.id, owner, tail.read()) and outcome is DISCARDED:
            _discard(directory)
        return outcome

    @staticmethod
    def _outcome(forced: Outcome | None, own: Outcome, *, stalled: bool) -> Outcome:
        """What an attempt ends as that was `forced` to end, or ended by its own."""
        if forced is DISCARDED:
            return forced
        # One that could not save says why.
        if own.state is JobState.FINISHED or (forced is STOPPED and own.state is JobState.FAILED and own.is_explained):
            return own
        if forced is None:
            return WORKER_STALLED if stalled else own
        return replace(forced, result=own.result) if forced is STOPPED else forced

    def _prepare(self, job: Job, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        clear(directory)
        kind = JobKind(job.kind)
        asked = JobFile(kind=kind, attempt=job.attempt, resume=not job.fresh, spec=job.spec)
        write_atomically(directory / JOB_FILE, asked.model_dump_json(indent=2))
        if kind is JobKind.TRAIN and not (directory / SPEC_FILE).exists():
            write_atomically(directory / SPEC_FILE, RunSpec.parse(job.spec).to_yaml())

    def _spawn(self, job: Job, directory: Path, placed_on: Sequence[str]) -> Process:
        environment = {**self._environment(job), **visible_devices(placed_on), **mark(job.id, job.attempt)}
        with (directory / LOG_FILE).open("ab") as log:
            log.write(f"--- attempt {job.attempt}\n".encode())
            log.flush()
            return subprocess.Popen(
                self._command(directory, job),
                cwd=_CODE,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _watch(self, job: Job, process: Process, lease: Lease, tail: MetricsTail) -> Outcome | None:
        """Follow the process until it exits. Returns what it was made to end as, None if it ended by itself.

        Must stay in the thread that spawned it: the child dies with that thread.
        """
        owner = job.owner or ""
        ending = _Ending(job, process, self._patience.stop_grace)
        next_beat = 0.0
        while not exits_within(process, _POLL_SECONDS):
            now = time.monotonic()
            if now >= next_beat or self.shutdown.is_set():
                next_beat = now + self._patience.beat
                orders = self._store.beat(job.id, owner, tail.read())
                if orders is None:
                    break  # It has been given to somebody else: the caller kills the group, the store refuses its end.
                lease.renew(now)
                if orders.state is JobState.STOPPING:
                    ending.stop(orders.stop_mode or StopMode.SAVE)
            if self.shutdown.is_set():
                ending.shut_down()
            ending.insist()
        return ending.outcome


class _Ending:
    """Asks the processes of an attempt to end, again and again, and kills them when their time is over."""

    def __init__(self, job: Job, process: Process, stop_grace: float) -> None:
        self.outcome: Outcome | None = None
        self._job = job
        self._process = process
        self._stop_grace = stop_grace
        self._number = signal.SIGTERM
        self._next = self._deadline = float("inf")

    def stop(self, mode: StopMode) -> None:
        if mode is StopMode.DISCARD:
            self._ask(DISCARDED, signal.SIGTERM, _DISCARD_GRACE_SECONDS)
        elif self.outcome is None:
            self._ask(STOPPED, signal.SIGUSR1, self._stop_grace)

    def shut_down(self) -> None:
        # One that was told to stop has had its order: it gets less time now.
        if self.outcome in (None, STOPPED):
            self._ask(self.outcome or STUDIO_STOPPED, signal.SIGTERM, _SHUTDOWN_GRACE_SECONDS)

    def insist(self) -> None:
        now = time.monotonic()
        if now >= self._deadline:
            signal_group(self._process, signal.SIGKILL)
        elif now >= self._next:
            # Some of them may not have been there the last time.
            self._next = now + _ASK_AGAIN_SECONDS
            signal_everything_of(self._job.id, self._job.attempt, self._number)

    def _ask(self, outcome: Outcome, number: signal.Signals, grace: float) -> None:
        now = time.monotonic()
        if self.outcome is outcome and self._deadline <= now + grace:
            return
        self.outcome, self._number, self._next = outcome, number, now
        self._deadline = min(self._deadline, now + grace)


def _discard(directory: Path) -> None:
    """Remove all that a job has made; what was asked, and the log, stay."""
    for path in directory.iterdir():
        if path.name in (JOB_FILE, LOG_FILE, SPEC_FILE):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
