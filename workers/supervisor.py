"""Runs each training in a process group of its own, and sees to it that every run ends with a cause."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from gift_core.reporting import METRICS_FILE, SPEC_FILE, write_atomically
from gift_core.spec import RunSpec
from workers.metrics import MetricsTail
from workers.outcome import LOG_FILE, STOPPED, STUDIO_STOPPED, Failure, Outcome, outcome_of
from workers.records import Run, RunState
from workers.store import RunStore

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.25
_SHUTDOWN_GRACE_SECONDS = 2.0
_CODE = Path(__file__).resolve().parents[1]

Process = subprocess.Popen[bytes]


def training_command(datasets: Path, rates: Path) -> Callable[[Path], list[str]]:
    """The command that trains in a run's directory and dies with this process."""

    def command(directory: Path) -> list[str]:
        module = [sys.executable, "-m", "workers.training_process"]
        folders = ["--directory", str(directory), "--datasets", str(datasets), "--rates", str(rates)]
        return [*module, *folders, "--parent", str(os.getpid())]

    return command


class Supervisor:
    """Executes runs. Set `shutdown` to end the current one as interrupted and to take no more.

    `runs` is the folder of the runs' directories, `environment` all that a training process inherits.
    """

    def __init__(
        self,
        store: RunStore,
        runs: Path,
        command: Callable[[Path], list[str]],
        environment: Mapping[str, str],
        *,
        lease_seconds: float,
        stop_grace_seconds: float = 10.0,
    ) -> None:
        self._store = store
        self._runs = runs
        self._command = command
        self._environment = environment
        self._lease_seconds = lease_seconds
        self._stop_grace_seconds = stop_grace_seconds
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.shutdown = threading.Event()

    def execute(self, run_id: str) -> None:
        """Train a queued run to its end. A late or duplicate message, whose run is not queued, is ignored."""
        if self.shutdown.is_set():
            return
        run = self._store.claim(run_id, self._owner, self._lease_seconds)
        if run is None:
            return
        try:
            outcome = self._train(run, self._runs / run.id)
        except Exception as error:
            logger.exception("run %s could not be supervised", run.id)
            outcome = Outcome.failed(
                Failure(
                    code="internal",
                    message=f"The run could not be supervised: {error}",
                    remedy="See the log.",
                )
            )
        failure = outcome.failure.model_dump() if outcome.failure else None
        if not self._store.end(run.id, self._owner, outcome.state, outcome.cause, outcome.result, failure):
            logger.warning("run %s was taken away before it ended", run.id)

    def _train(self, run: Run, directory: Path) -> Outcome:
        directory.mkdir(parents=True, exist_ok=True)
        write_atomically(directory / SPEC_FILE, RunSpec.parse(run.spec).to_yaml())
        tail = MetricsTail(directory / METRICS_FILE)
        process = self._spawn(directory)
        try:
            self._store.started(run.id, self._owner, process.pid)
            forced = self._watch(run.id, process, tail)
        finally:
            _signal_group(process, signal.SIGKILL)
            exit_code = process.wait()
        self._store.record(run.id, self._owner, tail.read())
        outcome = outcome_of(directory, exit_code)
        return outcome if outcome.state is RunState.FINISHED else forced or outcome

    def _spawn(self, directory: Path) -> Process:
        with (directory / LOG_FILE).open("ab") as log:
            return subprocess.Popen(
                self._command(directory),
                cwd=_CODE,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _watch(self, run_id: str, process: Process, tail: MetricsTail) -> Outcome | None:
        """Follow the process until it exits. Returns what it was made to end as, None if it ended by itself.

        Must stay in the thread that spawned it: the child dies with that thread.
        """
        forced: Outcome | None = None
        asked_at: float | None = None
        while not _exits_within(process, _POLL_SECONDS):
            self._store.record(run_id, self._owner, tail.read())
            state = self._store.renew(run_id, self._owner, self._lease_seconds)
            if state is None:
                break  # The run has been given up: the caller kills the group, the store refuses its end.
            if state is RunState.STOPPING:
                forced = STOPPED
            elif self.shutdown.is_set():
                forced = STUDIO_STOPPED
            else:
                continue
            if asked_at is None:
                asked_at = time.monotonic()
                _signal_group(process, signal.SIGTERM)
            grace = _SHUTDOWN_GRACE_SECONDS if self.shutdown.is_set() else self._stop_grace_seconds
            if time.monotonic() - asked_at >= grace:
                _signal_group(process, signal.SIGKILL)
        return forced


def _exits_within(process: Process, seconds: float) -> bool:
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _signal_group(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
