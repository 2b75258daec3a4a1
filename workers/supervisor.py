"""Runs each attempt at a job in a process group of its own, and sees to it that every attempt ends with a cause."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
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
from workers.failures import is_want_of_room, of_gift_error
from workers.health.faults import fault_of_machine, is_refusal_of
from workers.health.gate import Gate
from workers.health.probe import Probe
from workers.heart import Heart
from workers.kinds import job_directory
from workers.leftovers import clear_scratch
from workers.lifecycle.attempt_files import EarlierAttempts, Saves
from workers.lifecycle.ending import Ending
from workers.locations import ServiceUnavailable
from workers.outcome import (
    CUT_OFF,
    DISCARDED,
    DISK_FULL,
    MACHINE,
    RESTORED,
    STOOD_STILL,
    STOPPED,
    STUDIO_STOPPED,
    Failure,
    Outcome,
    clear,
    does_not_end,
    files_refused,
    handed_back,
    outcome_of,
)
from workers.processes import Process, exits_within, kill_everything_of, mark, signal_group
from workers.readiness import check_store
from workers.records import Job, JobKind, JobState, StopMode
from workers.sharing import Sharing
from workers.store import JobStore

logger = logging.getLogger(__name__)

T = TypeVar("T")

_POLL_SECONDS = 0.1
_PAUSE_SECONDS = 1.0
# Of a job's own files, while its machine is well: it may be well again only since a moment.
_MOST_REFUSALS = 5
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

    `sharing` knows the studio's folder, `environment` is all that a job's process inherits. `gate` learns of faults of
    the machine: a job that meets one is handed back.
    """

    def __init__(
        self,
        store: JobStore,
        sharing: Sharing,
        command: Command,
        environment: Environment,
        patience: Patience,
        gate: Gate | None = None,
    ) -> None:
        self.shutdown = threading.Event()
        self.gate = gate or gate_of(store, sharing)
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
                try:
                    outcome = self._carry_out(attempt)
                except Exception as error:
                    outcome = self._outcome_of(job, error)
                if outcome.state is not JobState.INTERRUPTED:
                    self.gate.went_well()
                if self._until_answered(job, lambda: self._conclude(job, outcome), heart.lost) is False:
                    logger.warning("job %s was taken away before it ended", job.id)
        except Exception as error:
            # It has no lease yet.
            cause = self._outcome_of(job, error)
            self._until_answered(job, lambda: self._conclude(job, cause))
        return attempt is None or attempt.is_gone

    def _outcome_of(self, job: Job, error: Exception) -> Outcome:
        """How an attempt ends that met an error of the worker's own. Those of its surroundings are no failure."""
        fault = self._fault_in(error)
        if fault is None:
            logger.exception("job %s could not be supervised", job.id)
            return Outcome.failed(_unsupervised(error))
        logger.exception("job %s is handed back: a server or its machine does not let it be carried out", job.id)
        if isinstance(error, ServiceUnavailable):
            self.gate.met(fault)
            return CUT_OFF
        if self._is_of_its_files(job, error):
            return files_refused(fault)
        self.gate.met(fault)
        return handed_back(fault)

    def _conclude(self, job: Job, outcome: Outcome) -> bool:
        owner = job.owner or ""
        failure = outcome.failure.model_dump() if outcome.failure else None
        if outcome.state is JobState.INTERRUPTED:
            return self._store.hand_back(job.id, owner, outcome.cause, is_loss=outcome.is_loss, failure=failure)
        return self._store.end(job.id, owner, outcome.state, outcome.cause, outcome.result, failure)

    def _carry_out(self, attempt: _Attempt) -> Outcome:
        job, directory, heart = attempt.job, attempt.directory, attempt.heart
        try:
            left = kill_everything_of(directory, range(job.attempt))
        except TimeoutError:
            logger.exception("job %s cannot begin", job.id)
            return does_not_end()
        if left:
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
            own = self._until_answered(job, lambda: outcome_of(directory, exit_code), heart.lost) or CUT_OFF
            self._until_answered(job, attempt.saves.look, heart.lost)
            outcome = _outcome(forced, self._without_blame(attempt, own))
        # What was reported last. What somebody else has by now is not ours to change or to share.
        if self._until_answered(job, heart.still_beats, heart.lost):
            outcome = self._settle(attempt, outcome)

        def share() -> bool:
            if heart.still_beats():
                self._sharing.keep(job)
            return True

        # Others look for the result as soon as they are told of the end, and it was hours of work. Where this worker
        # has to end before that, the next attempt finds the result and shares it.
        is_shared = self._until_answered(job, share, heart.lost)
        return outcome if is_shared or outcome.state is not JobState.FINISHED else STUDIO_STOPPED

    def _without_blame(self, attempt: _Attempt, own: Outcome) -> Outcome:
        """How a process has ended that ended as `own`, once what its worker and its machine did to it is left out."""
        heart, job = attempt.heart, attempt.job
        # Of several processes, torchrun does not tell that they ended because of this.
        if own.state is JobState.FAILED and not own.is_explained and heart.stood_still:
            own = STOOD_STILL
        if own is STOOD_STILL and heart.was_hindered:
            return CUT_OFF
        by_machine = own.failure is not None and own.failure.code == MACHINE
        if not by_machine and not own.may_be_the_machines:
            return own
        if (problem := self.gate.problem()) is not None:
            return handed_back(problem.message)
        if not by_machine or own.failure is None:
            return own
        self.gate.met(own.failure.message)
        # The machine is well, so the job may be what exhausts it: it goes on for ever only while it gets somewhere.
        saved = self._until_answered(job, lambda: (attempt.saves.step,), heart.lost)
        return replace(own, is_loss=saved == (job.saved_step,))

    def _settle(self, attempt: _Attempt, outcome: Outcome) -> Outcome:
        """Set aside what is discarded, and bring back what was set aside by a start that came to nothing."""
        job, lost, saves, earlier = attempt.job, attempt.heart.lost, attempt.saves, attempt.earlier
        if outcome.state is JobState.FINISHED:
            self._until_answered(job, earlier.drop, lost)
            return outcome
        has_nothing = outcome.state is JobState.STOPPED and outcome.result is None and saves.step is None
        if (has_nothing or outcome in (DISCARDED, RESTORED)) and self._until_answered(job, earlier.bring_back, lost):
            return RESTORED
        if outcome is DISCARDED:
            self._until_answered(job, lambda: earlier.discard(undoable=saves.step is not None), lost)
        return STOPPED if outcome is RESTORED else outcome

    def _until_answered(self, job: Job, ask: Callable[[], T], lost: threading.Event | None = None) -> T | None:
        """What `ask` gives, as soon as the servers and the machine let it; None when this worker ends, or has lost the
        job, before that."""
        refusals = 0
        while True:
            try:
                return ask()
            except Exception as error:
                fault = self._fault_in(error)
                if fault is None:
                    raise
                if self._is_of_its_files(job, error):
                    refusals += 1
                    if refusals == _MOST_REFUSALS:
                        raise
                else:
                    self.gate.met(fault)
                logger.exception("job %s waits for a server or for its machine; trying again", job.id)
                # Shorter than a lease, or another worker would take the job first.
                pause = min(_PAUSE_SECONDS, self._patience.lease / 4)
                if (lost is not None and lost.is_set()) or self.shutdown.wait(pause):
                    return None

    def _fault_in(self, error: Exception) -> str | None:
        """What is wrong around the job that has met an error; None if the error is the job's or the studio's own."""
        if isinstance(error, ServiceUnavailable):
            return "A server that it needs does not answer."
        fault = fault_of_machine(error, self._sharing.data)
        if fault is None and not isinstance(error, GiftError) and not is_want_of_room(error):
            # Whatever it is called: while nothing can be written, that is why.
            problem = self.gate.problem()
            fault = problem.message if problem else None
        return f"{fault.rstrip('.')}." if fault else None

    def _is_of_its_files(self, job: Job, error: Exception) -> bool:
        """Whether the job's own files are refused, while the machine is well: waiting does not help then."""
        return is_refusal_of(error, job_directory(self._sharing.data, job)) and self.gate.problem() is None

    def _run(self, attempt: _Attempt) -> tuple[Outcome | None, int]:
        """What the process was made to end as, and its exit code."""
        job, directory = attempt.job, attempt.directory
        process = self._spawn(job, directory, attempt.placed_on)
        try:
            with suppress(ServiceUnavailable):
                # Only shown: the process is found without it.
                self._store.started(job.id, job.owner or "", process.pid)
            ending = Ending(job, directory, process, self._patience.stop_grace)
            forced = self._watch(attempt, ending, process)
        finally:
            signal_group(process, signal.SIGKILL)
            exit_code = process.wait()
            try:
                # The next job gets the memory only once it is free. Where a worker that ends cannot find out what is
                # left, the next attempt does.
                self._until_answered(job, lambda: kill_everything_of(directory, (job.attempt,)))
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

    def _watch(self, attempt: _Attempt, ending: Ending, process: Process) -> Outcome | None:
        """Follow the process until it exits. Returns what it was made to end as, None if it ended by itself.

        Must stay in the thread that spawned it: the child dies with that thread.
        """
        heart = attempt.heart
        while not exits_within(process, _POLL_SECONDS):
            # A process that works goes on, whatever its worker cannot see. Its lease says for how long.
            with suppress(ServiceUnavailable, OSError):
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


def gate_of(store: JobStore, sharing: Sharing, floor_bytes: int = 0) -> Gate:
    """The gate of a worker: it needs its machine, the store, and the place where files are shared."""
    servers = {"store": lambda: check_store(store.database), "place of shared files": sharing.ping}
    return Gate(Probe(sharing.data, floor_bytes, servers))


def _finished_before(job: Job, directory: Path) -> Outcome | None:
    """How an earlier attempt ended whose worker was lost before it could say so; None where there is more to do."""
    outcome = outcome_of(directory, exit_code=0)
    # A run that was stopped has left a result so far, and what it resumes from.
    is_partial = job.kind == JobKind.TRAIN and (directory / TRAINER_DIRECTORY).exists()
    return None if job.fresh or is_partial or outcome.state is not JobState.FINISHED else outcome


def _unsupervised(error: Exception) -> Failure:
    if isinstance(error, GiftError):
        return of_gift_error(error)
    if is_want_of_room(error):
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
