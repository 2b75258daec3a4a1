"""Groups of processes: signalling one, waiting until nothing of it is left, finding what an earlier attempt left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path

import psutil

# A job's processes carry its directory and its attempt in this variable, its grandchildren too: so they are found even
# when their parent and their group are gone.
JOB_VARIABLE = "GIFT_JOB"
_GONE_SECONDS = 10.0
_LOOK_SECONDS = 0.02
# As long as it may take to begin a program, where a machine is busy.
_BEGINS_SECONDS = 1.0
# Their parent on Linux: they never have an environment.
_KERNEL_THREADS = 2

Process = subprocess.Popen[bytes]


def signal_group(process: Process, number: signal.Signals) -> None:
    """Send a signal to a process that leads a group, and to everything it has started in there."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def exits_within(process: Process, seconds: float) -> bool:
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def mark(directory: Path, attempt: int) -> dict[str, str]:
    """The variable. It names the directory, since two studios on one machine may have jobs of the same id."""
    return {JOB_VARIABLE: f"{directory.resolve()}#{attempt}"}


def signal_everything_of(directory: Path, attempt: int, number: signal.Signals) -> None:
    """Send a signal to every process of an attempt. Raises `OSError` where they cannot be found out."""
    for process in _processes_of(directory, (attempt,)):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def kill_everything_of(directory: Path, attempts: Container[int]) -> int:
    """Kill whatever still runs here of a job's attempts, and wait until its memory is free again; how many it was.

    Raises `TimeoutError` where something does not go away, as a process that waits for a broken device, and another
    `OSError` where it cannot be found out what runs.
    """
    found = list(_processes_of(directory, attempts))
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    deadline = time.monotonic() + _GONE_SECONDS
    while left := [process for process in found if _holds_memory(process)]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {left[0].pid} of {directory.name} does not end")
        time.sleep(_LOOK_SECONDS)
    return len(found)


def _processes_of(directory: Path, attempts: Container[int]) -> Iterator[psutil.Process]:
    where = str(directory.resolve())
    for process in psutil.process_iter():
        # Of those that are gone, and of other users'. Any other error says nothing about what runs.
        with suppress(psutil.Error, FileNotFoundError, ProcessLookupError, PermissionError):
            place, _, attempt = _environment(process).get(JOB_VARIABLE, "").rpartition("#")
            if place == where and int(attempt) in attempts:
                yield process


def _environment(process: psutil.Process) -> dict[str, str]:
    """The one it has. For a moment, a process that begins another program has none, and is not to be missed then."""
    deadline = time.monotonic() + _BEGINS_SECONDS
    while not (found := process.environ()) and _is_new(process) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS / 10)
    return found


def _is_new(process: psutil.Process) -> bool:
    if process.status() == psutil.STATUS_ZOMBIE or process.ppid() == _KERNEL_THREADS:
        return False
    return time.time() - process.create_time() < _BEGINS_SECONDS


def _holds_memory(process: psutil.Process) -> bool:
    # A zombie has given its memory back: only its parent has not looked yet.
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
