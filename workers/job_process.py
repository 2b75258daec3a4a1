"""The process of one attempt at a job, `python -m workers.job_process`: leaves a result or a failure.

It knows no database. It reports into a file, and ends itself when its worker has not shown itself for too long.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO

from gift_core.errors import StoppedError
from gift_core.reporting import RESULT_FILE, Line, write_atomically
from workers.context import (
    EXIT_DISK_FULL,
    EXIT_LOST,
    EXIT_MACHINE,
    JOB_FILE,
    STOPPED_FILE,
    JobContext,
    JobFile,
    channel,
    lease_file,
)
from workers.failures import failure_of, is_want_of_room
from workers.health.faults import fault_of_machine, is_missing
from workers.kinds import KINDS
from workers.outcome import FAILURE_FILE
from workers.settings import process_rank

_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Carry out the job in `--directory`, and exit."""
    try:
        code = carry_out_job(arguments)
    except (OSError, RuntimeError, MemoryError) as error:
        # Neither a result nor a failure could be written, or nothing could be begun.
        if not isinstance(error, OSError) and fault_of_machine(error, Path("/")) is None:
            raise
        with suppress(OSError):
            traceback.print_exc()
        # At its end the interpreter would trip over the log as well.
        os._exit(EXIT_DISK_FULL if is_want_of_room(error) else EXIT_MACHINE)
    sys.exit(code)


def carry_out_job(arguments: Sequence[str] | None = None) -> int:
    """What the process is for; returns the exit code. Raises `OSError` where that cannot be written down."""
    parser = argparse.ArgumentParser(description="Carry out one job.")
    parser.add_argument("--directory", type=Path, required=True, help="the job's directory, with its job.json")
    parser.add_argument("--data", type=Path, required=True, help="the studio's data folder")
    parser.add_argument("--attempt", type=int, required=True, help="its number")
    parser.add_argument("--parent", type=int, required=True, help="the process to die with")
    options = parser.parse_args(arguments)
    wish = StopWish()
    die_with(options.parent)
    lease = _Lease(options.directory / lease_file(options.attempt))
    lease.end_if_over()
    threading.Thread(target=_die_without_lease, args=(lease,), name="lease", daemon=True).start()
    try:
        # Imported in here so that a failing import is reported like any other failure.
        job = JobFile.model_validate_json((options.directory / JOB_FILE).read_bytes())
        if job.attempt != options.attempt:
            _end(f"attempt {job.attempt} has this job")
        result = _carry_out(job, options.directory, options.data, wish)
    except StoppedError:
        # No exit code says so: where one of several processes fails, torchrun kills those that still save.
        if process_rank() == 0:
            write_atomically(options.directory / STOPPED_FILE, "")
        return 0
    except Exception as error:
        traceback.print_exc()
        # Of several processes, the first to fail knows why: the others only miss it.
        if not (options.directory / FAILURE_FILE).exists():
            failure_of(error, options.data).write(options.directory)
        return 1
    finally:
        wish.hear_no_more()
    # Of several processes of one job, the first one writes.
    if process_rank() == 0 and result is not None:
        write_atomically(options.directory / RESULT_FILE, json.dumps(result, indent=2))
    return 0


def _carry_out(job: JobFile, directory: Path, data: Path, wish: StopWish) -> dict[str, Any] | None:
    request = KINDS[job.kind].request.model_validate(job.spec)
    run: Callable[[Any, JobContext], dict[str, Any] | None] = import_module(f"workers.kinds.{job.kind}").run
    with (directory / channel(job.attempt)).open("a", encoding="utf-8") as reports:
        context = JobContext(
            directory=directory,
            data=data,
            resume=job.resume,
            report=_reporter(reports),
            stop=wish.stop.is_set,
            keep_result=wish.keep_result.is_set,
        )
        return run(request, context)


class StopWish:
    """SIGTERM: save what the job can be resumed from, and end. SIGUSR1: keep the result so far as well."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.keep_result = threading.Event()
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGUSR1, self._ask)

    def hear_no_more(self) -> None:
        """It ends already. At its very end the interpreter gives up the handlers, and a signal would kill it."""
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGUSR1:
            self.keep_result.set()
        self.stop.set()


def die_with(parent: int) -> None:
    """Have the kernel kill this process when `parent` dies; exit if it is dead already. Linux only."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")
    if os.getppid() != parent:
        raise SystemExit("the worker is gone")


def _die_without_lease(lease: _Lease) -> None:
    """End this process once its lease is over: somebody else may have the job by then.

    A worker that is stopped, or cut off from the store, does not renew it. The clock is the one since the machine's
    start, which both read and nobody sets.
    """
    while True:
        time.sleep(min(lease.end_if_over(), 1.0))


class _Lease:
    """Until when this process may go on. What was last read counts while the file cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._until = 0.0

    def end_if_over(self) -> float:
        """For how many seconds the lease still lasts; this process is at its end where that is none."""
        why, code = "the worker has not renewed its lease", EXIT_LOST
        try:
            self._until = float(self._path.read_text())
        except ValueError:
            pass
        except OSError as error:
            if is_missing(error):
                self._until = 0.0
            else:
                why, code = f"its lease cannot be read: {error.strerror}", EXIT_MACHINE
        left = self._until - time.monotonic()
        if left <= 0:
            _end(why, code)
        return left


def _end(why: str, code: int = EXIT_LOST) -> NoReturn:
    with suppress(OSError):
        print(f"This process ends: {why}.", file=sys.stderr, flush=True)
    os._exit(code)


def _reporter(reports: TextIO) -> Callable[[Line], None]:
    def report(line: Line) -> None:
        reports.write(json.dumps(line) + "\n")
        reports.flush()

    return report


if __name__ == "__main__":
    main()
