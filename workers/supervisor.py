"""Runs each attempt at a job in a process group of its own, and sees to it that every attempt ends with a cause."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gift_core.errors import GiftError
from gift_core.reporting import SPEC_FILE, write_atomically
from gift_core.spec import RunSpec
from workers.context import JOB_FILE, LOG_FILE, JobFile
from workers.devices import visible_devices
from workers.heart import Heart
from workers.kinds import job_directory
from workers.leftovers import clear_scratch
from workers.outcome import (
    CUT_OFF,
    DISCARDED,
    DISK_FULL,
    STOPPED,
    STUDIO_STOPPED,
    Failure,
    Outcome,
    clear,
    discard,
    outcome_of,
)
from workers.processes import Process, exits_within, kill_everything_of, mark, signal_everything_of, signal_group
from workers.records import Job, JobKind, JobState, StopMode
from workers.sharing import Sharing
from workers.store import JobStore

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_SHUTDOWN_GRACE_SECONDS = 2.0
_SHARING_PAUSE_SECONDS = 5.0
_DISCARD_GRACE_SECONDS = 2.0
_ASK_AGAIN_SECONDS = 1.0
_CODE = Path(__file__).resolve().parents[1]

Command = Callable[[Path, Job], list[str]]
Environment = Callable[[Job], Mapping[str, str]]


def job_command(data: Path) -> Command:
    """The command that carries out a job and dies with this process; of several devices, with a process on each."""

    def command(directory: Path, job: Job) -> list[str]:
        module = ["-m", "workers.job_process", "--directory", str(directory), "--data", str(data)]
        module += ["--attempt", str(job.attempt)]
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


class Supervisor:
    """Carries out jobs of one worker. Set `shutdown` to hand the current ones back and to take no more.

    `sharing` knows the studio's folder, `environment` is all that a job's process inherits.
    """

    def __init__(
        self,
        store: JobStore,
        sharing: Sharing,
        command: Command,
        environment: Environment,
        patience: Patience,
    ) -> None:
        self.shutdown = threading.Event()
        self._store = store
        self._sharing = sharing
        self._command = command
        self._environment = environment
        self._patience = patience

    def execute(self, job: Job, placed_on: Sequence[str]) -> None:
        """Carry out a job that this worker has claimed, to its end."""
        try:
            outcome = self._attempt(job, job_directory(self._sharing.data, job), placed_on)
        except Exception as error:
            logger.exception("job %s could not be supervised", job.id)
            outcome = Outcome.failed(_unsupervised(error))
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
        if left := kill_everything_of(directory, range(job.attempt)):
            logger.warning("%d processes of an earlier attempt at %s were still there", left, job.id)
        with Heart(self._store, job, directory, self._patience.lease) as heart:
            if not heart.still_beats():
                return CUT_OFF
            self._sharing.bring(job)
            heart.catch_up()
            # A worker that stood still meanwhile would remove the result of whoever has the job by now.
            if not heart.still_beats():
                return CUT_OFF
            self._prepare(job, directory)
            with self._sharing.sharing(job):
                forced, exit_code = self._run(job, directory, placed_on, heart)
            own = outcome_of(directory, exit_code)
            # Of several processes, torchrun does not tell that they ended because of this.
            cut_off = own.state is JobState.FAILED and not own.is_explained and heart.stood_still
            outcome = _outcome(forced, CUT_OFF if cut_off else own)
            # What was reported last. What somebody else has by now is not ours to remove or to share.
            if heart.still_beats():
                if outcome is DISCARDED:
                    discard(directory)
                self._share(job)
        return outcome

    def _share(self, job: Job) -> None:
        """Let the other hosts have the result, as soon as the place for it answers: it was hours of work."""
        while True:
            try:
                return self._sharing.keep(job)
            except GiftError:
                logger.exception("the files of job %s could not be shared; trying again", job.id)
                if self.shutdown.wait(_SHARING_PAUSE_SECONDS):
                    raise

    def _run(self, job: Job, directory: Path, placed_on: Sequence[str], heart: Heart) -> tuple[Outcome | None, int]:
        """What the process was made to end as, and its exit code."""
        process = self._spawn(job, directory, placed_on)
        try:
            self._store.started(job.id, job.owner or "", process.pid, ",".join(placed_on))
            forced = self._watch(_Ending(job, directory, process, self._patience.stop_grace), process, heart)
        finally:
            signal_group(process, signal.SIGKILL)
            exit_code = process.wait()
            # The next job gets the memory only once it is free.
            kill_everything_of(directory, (job.attempt,))
        return forced, exit_code

    def _prepare(self, job: Job, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        clear(directory)
        clear_scratch(directory)
        kind = JobKind(job.kind)
        asked = JobFile(kind=kind, attempt=job.attempt, resume=not job.fresh, spec=job.spec)
        write_atomically(directory / JOB_FILE, asked.model_dump_json(indent=2))
        if kind is JobKind.TRAIN and not (directory / SPEC_FILE).exists():
            write_atomically(directory / SPEC_FILE, RunSpec.parse(job.spec).to_yaml())

    def _spawn(self, job: Job, directory: Path, placed_on: Sequence[str]) -> Process:
        environment = {**self._environment(job), **visible_devices(placed_on), **mark(directory, job.attempt)}
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

    def _watch(self, ending: _Ending, process: Process, heart: Heart) -> Outcome | None:
        """Follow the process until it exits. Returns what it was made to end as, None if it ended by itself.

        Must stay in the thread that spawned it: the child dies with that thread.
        """
        while not exits_within(process, _POLL_SECONDS):
            if heart.lost.is_set():
                break  # It has been given to somebody else: the caller kills the group, the store refuses its end.
            if heart.orders and heart.orders.state is JobState.STOPPING:
                ending.stop(heart.orders.stop_mode or StopMode.SAVE)
            if self.shutdown.is_set():
                ending.shut_down()
            ending.insist()
        return ending.outcome


def _unsupervised(error: Exception) -> Failure:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return DISK_FULL
    message = f"It could not be supervised ({type(error).__name__})."
    return Failure(code="internal", message=message, remedy="See the server's log.")


def _outcome(forced: Outcome | None, own: Outcome) -> Outcome:
    """What an attempt ends as that was `forced` to end, or that ended as its process says."""
    if forced is DISCARDED:
        return forced
    # One that could not save says why.
    could_not_save = forced is STOPPED and own.state is JobState.FAILED and own.is_explained
    if forced is None or own.state is JobState.FINISHED or could_not_save:
        return own
    return replace(forced, result=own.result) if forced is STOPPED else forced


class _Ending:
    """Asks the processes of an attempt to end, again and again, and kills them when their time is over."""

    def __init__(self, job: Job, directory: Path, process: Process, stop_grace: float) -> None:
        self.outcome: Outcome | None = None
        self._attempt = job.attempt
        self._directory = directory
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
            signal_everything_of(self._directory, self._attempt, self._number)

    def _ask(self, outcome: Outcome, number: signal.Signals, grace: float) -> None:
        now = time.monotonic()
        if self.outcome is outcome and self._deadline <= now + grace:
            return
        self.outcome, self._number, self._next = outcome, number, now
        self._deadline = min(self._deadline, now + grace)
