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
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from gift_core.errors import GiftError
from gift_core.reporting import SPEC_FILE, TRAINER_DIRECTORY, write_atomically
from gift_core.spec import RunSpec
from workers.context import JOB_FILE, LOG_FILE, JobFile
from workers.devices import visible_devices
from workers.failures import of_gift_error
from workers.heart import Heart
from workers.kinds import job_directory
from workers.leftovers import clear_scratch
from workers.lifecycle.attempt_files import EarlierAttempts, Saves
from workers.locations import ServiceUnavailable
from workers.outcome import (
    CUT_OFF,
    DISCARDED,
    DISK_FULL,
    RESTORED,
    STOPPED,
    STUDIO_STOPPED,
    Failure,
    Outcome,
    clear,
    outcome_of,
)
from workers.processes import Process, exits_within, kill_everything_of, mark, signal_everything_of, signal_group
from workers.records import Job, JobKind, JobState, StopMode
from workers.sharing import Sharing
from workers.store import JobStore

logger = logging.getLogger(__name__)

T = TypeVar("T")

_POLL_SECONDS = 0.1
_SHUTDOWN_GRACE_SECONDS = 2.0
_PAUSE_SECONDS = 1.0
_RESTORE_GRACE_SECONDS = 2.0
# A discard can be undone: most trainings save within this time what they can be resumed from.
_DISCARD_GRACE_SECONDS = 5.0
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


@dataclass
class _Attempt:
    """An attempt at a job. `is_gone`: whether its processes, and their memory, are."""

    job: Job
    directory: Path
    placed_on: Sequence[str]
    heart: Heart
    saves: Saves
    earlier: EarlierAttempts
    is_gone: bool = True


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

    def execute(self, job: Job, placed_on: Sequence[str]) -> bool:
        """Carry out a job that this worker has claimed, to its end. Whether all of it is gone from its devices."""
        directory = job_directory(self._sharing.data, job)
        attempt = None
        try:
            with Heart(self._store, job, directory, self._patience.lease) as heart:
                saves, earlier = Saves(self._store, job, directory), EarlierAttempts(self._store, job, directory)
                attempt = _Attempt(job, directory, placed_on, heart, saves, earlier)
                outcome = self._outcome_of(attempt)
                if self._until_answered(attempt, lambda: self._conclude(job, outcome)) is False:
                    logger.warning("job %s was taken away before it ended", job.id)
        except ServiceUnavailable:
            # Nothing has begun. Its heartbeat stands still, so it is found and given to somebody.
            logger.exception("the store does not answer: job %s waits until it is found", job.id)
        except OSError as error:
            # There is no room for so much as a lease.
            logger.exception("job %s could not be begun", job.id)
            self._conclude(job, Outcome.failed(_unsupervised(error)))
        return attempt is None or attempt.is_gone

    def _outcome_of(self, attempt: _Attempt) -> Outcome:
        try:
            return self._carry_out(attempt)
        except ServiceUnavailable:
            logger.exception("job %s was interrupted: a server does not answer", attempt.job.id)
            return CUT_OFF
        except Exception as error:
            logger.exception("job %s could not be supervised", attempt.job.id)
            return Outcome.failed(_unsupervised(error))

    def _conclude(self, job: Job, outcome: Outcome) -> bool:
        owner = job.owner or ""
        if outcome.state is JobState.INTERRUPTED:
            by_others = outcome is not STUDIO_STOPPED
            return self._store.hand_back(job.id, owner, outcome.cause, is_loss=by_others)
        failure = outcome.failure.model_dump() if outcome.failure else None
        return self._store.end(job.id, owner, outcome.state, outcome.cause, outcome.result, failure)

    def _carry_out(self, attempt: _Attempt) -> Outcome:
        job, directory, heart = attempt.job, attempt.directory, attempt.heart
        if left := kill_everything_of(directory, range(job.attempt)):
            logger.warning("%d processes of an earlier attempt at %s were still there", left, job.id)
        if not heart.still_beats():
            return CUT_OFF
        # Also where nothing is left to do but to say how it ended.
        clear_scratch(directory)
        self._sharing.bring(job)
        heart.catch_up()
        outcome = _finished_before(job, directory)
        if outcome is None:
            if not self._prepare(attempt):
                return CUT_OFF
            with self._sharing.sharing(job, heart.still_beats):
                forced, exit_code = self._run(attempt)
            own = outcome_of(directory, exit_code)
            self._until_answered(attempt, attempt.saves.look)
            # Of several processes, torchrun does not tell that they ended because of this.
            cut_off = own.state is JobState.FAILED and not own.is_explained and heart.stood_still
            outcome = _outcome(forced, CUT_OFF if cut_off else own)
        # What was reported last. What somebody else has by now is not ours to change or to share.
        if self._until_answered(attempt, heart.still_beats):
            outcome = self._settle(attempt, outcome)

        def share() -> bool:
            if heart.still_beats():
                self._sharing.keep(job)
            return True

        # Others look for the result as soon as they are told of the end, and it was hours of work. Where this worker
        # has to end before that, the next attempt finds the result and shares it.
        is_shared = self._until_answered(attempt, share)
        return outcome if is_shared or outcome.state is not JobState.FINISHED else STUDIO_STOPPED

    def _settle(self, attempt: _Attempt, outcome: Outcome) -> Outcome:
        """Set aside what is discarded, and bring back what was set aside by a start that came to nothing."""
        saves, earlier = attempt.saves, attempt.earlier
        if outcome.state is JobState.FINISHED:
            self._until_answered(attempt, earlier.drop)
            return outcome
        has_nothing = outcome.state is JobState.STOPPED and outcome.result is None and saves.step is None
        if (has_nothing or outcome in (DISCARDED, RESTORED)) and self._until_answered(attempt, earlier.bring_back):
            return RESTORED
        if outcome is DISCARDED:
            self._until_answered(attempt, lambda: earlier.discard(undoable=saves.step is not None))
        return STOPPED if outcome is RESTORED else outcome

    def _until_answered(self, attempt: _Attempt, ask: Callable[[], T]) -> T | None:
        """What `ask` gives, as soon as the servers that it needs answer; None when this worker ends, or has lost the
        job, before that."""
        while True:
            try:
                return ask()
            except ServiceUnavailable:
                logger.exception("job %s waits for a server; trying again", attempt.job.id)
                if attempt.heart.lost.is_set() or self.shutdown.wait(_PAUSE_SECONDS):
                    return None

    def _run(self, attempt: _Attempt) -> tuple[Outcome | None, int]:
        """What the process was made to end as, and its exit code."""
        job, directory = attempt.job, attempt.directory
        process = self._spawn(job, directory, attempt.placed_on)
        try:
            with suppress(ServiceUnavailable):
                # Only shown: the process is found without it.
                self._store.started(job.id, job.owner or "", process.pid)
            ending = _Ending(job, directory, process, self._patience.stop_grace)
            forced = self._watch(attempt, ending, process)
        finally:
            signal_group(process, signal.SIGKILL)
            exit_code = process.wait()
            try:
                # The next job gets the memory only once it is free.
                kill_everything_of(directory, (job.attempt,))
            except TimeoutError:
                logger.exception("something of job %s does not end", job.id)
                attempt.is_gone = False
        return forced, exit_code

    def _prepare(self, attempt: _Attempt) -> bool:
        """Have in the directory what the process needs, and nothing that an earlier one said about its end; False when
        somebody else has the job by now."""
        job, directory = attempt.job, attempt.directory
        directory.mkdir(parents=True, exist_ok=True)
        kind = JobKind(job.kind)
        asked = JobFile(kind=kind, attempt=job.attempt, resume=not job.fresh, spec=job.spec)
        spec = RunSpec.parse(job.spec).to_yaml() if kind is JobKind.TRAIN else None
        # A worker that stood still, and wakes up here, would remove the result of whoever has the job by then.
        with self._store.held(job.id, job.owner or "") as is_ours:
            if is_ours:
                attempt.earlier.arrange()
                clear(directory)
                write_atomically(directory / JOB_FILE, asked.model_dump_json(indent=2))
                if spec is not None and not (directory / SPEC_FILE).exists():
                    write_atomically(directory / SPEC_FILE, spec)
        attempt.earlier.clean()
        return is_ours

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

    def _watch(self, attempt: _Attempt, ending: _Ending, process: Process) -> Outcome | None:
        """Follow the process until it exits. Returns what it was made to end as, None if it ended by itself.

        Must stay in the thread that spawned it: the child dies with that thread.
        """
        heart = attempt.heart
        while not exits_within(process, _POLL_SECONDS):
            with suppress(ServiceUnavailable):
                if attempt.saves.look_now_and_then() is not None:
                    attempt.earlier.drop_after_a_while()
            if heart.lost.is_set():
                break  # It has been given to somebody else: the caller kills the group, the store refuses its end.
            if heart.orders and heart.orders.state is JobState.STOPPING:
                ending.stop(heart.orders.stop_mode or StopMode.SAVE)
            if self.shutdown.is_set():
                ending.shut_down()
            ending.insist()
        return ending.outcome


def _finished_before(job: Job, directory: Path) -> Outcome | None:
    """How an earlier attempt ended whose worker was lost before it could say so; None where there is more to do."""
    outcome = outcome_of(directory, exit_code=0)
    # A run that was stopped has left a result so far, and what it resumes from.
    is_partial = job.kind == JobKind.TRAIN and (directory / TRAINER_DIRECTORY).exists()
    return None if job.fresh or is_partial or outcome.state is not JobState.FINISHED else outcome


def _unsupervised(error: Exception) -> Failure:
    if isinstance(error, GiftError):
        return of_gift_error(error)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return DISK_FULL
    message = f"It could not be supervised ({type(error).__name__})."
    return Failure(code="internal", message=message, remedy="See the server's log.")


def _outcome(forced: Outcome | None, own: Outcome) -> Outcome:
    """What an attempt ends as that was `forced` to end, or that ended as its process says."""
    if forced is DISCARDED or forced is RESTORED:
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
        if mode is StopMode.RESTORE:
            self._ask(RESTORED, signal.SIGTERM, _RESTORE_GRACE_SECONDS)
        elif mode is StopMode.DISCARD:
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
