"""The process that trains one run, `python -m workers.training_process`: leaves a result or a failure."""

from __future__ import annotations

import argparse
import ctypes
import errno
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from gift_core.errors import DataError, GiftError
from gift_core.reporting import SPEC_FILE
from gift_core.spec import RunSpec
from workers.outcome import Failure

_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the run in `--directory`; returns the exit code."""
    parser = argparse.ArgumentParser(description="Train one run.")
    parser.add_argument("--directory", type=Path, required=True, help="the run's directory, with its spec.yaml")
    parser.add_argument("--datasets", type=Path, required=True, help="the folder of the uploaded data sets")
    parser.add_argument("--rates", type=Path, required=True, help="the folder of the frozen rates that runs share")
    parser.add_argument("--parent", type=int, required=True, help="the process to die with")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _exit_quietly)
    die_with(options.parent)
    try:
        # Imported here so that a failing import is reported like any other failure.
        from gift_core.run import RunOptions, run_training

        spec = RunSpec.from_yaml(options.directory / SPEC_FILE)
        run_training(
            spec,
            options.directory,
            lambda dataset: find_dataset(options.datasets, dataset),
            RunOptions(rate_cache=options.rates),
        )
    except Exception as error:
        traceback.print_exc()
        failure_of(error).write(options.directory)
        return 1
    return 0


def die_with(parent: int) -> None:
    """Have the kernel kill this process when `parent` dies; exit if it is dead already. Linux only."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")
    if os.getppid() != parent:
        raise SystemExit("the worker is gone")


def find_dataset(directory: Path, dataset_id: str) -> Path:
    """The uploaded file with that id; raises `DataError`. The id is compared, never made into a path."""
    for path in directory.iterdir():
        if path.stem == dataset_id:
            return path
    raise DataError("The data set is not there any more.", field="data.source.dataset", remedy="Upload the file again.")


def failure_of(error: Exception) -> Failure:
    """What the user is told; the traceback stays in the log."""
    from gift_core.out_of_memory import is_out_of_memory, out_of_memory_somewhere

    if is_out_of_memory(error):
        error = out_of_memory_somewhere()
    if isinstance(error, GiftError):
        first = error.problems[0]
        if len(error.problems) > 1:
            return Failure(code=error.code, message=str(error))
        return Failure(code=error.code, message=first.message, field=first.field, remedy=first.remedy)
    if (isinstance(error, OSError) and error.errno == errno.ENOSPC) or _says(error, os.strerror(errno.ENOSPC)):
        return Failure(
            code="disk_full",
            message="The disk is full.",
            remedy="Delete checkpoints that are no longer needed, and launch it again.",
        )
    return Failure(
        code="internal",
        message=f"The training failed unexpectedly ({type(error).__name__}).",
        remedy="See the end of the run's log.",
    )


def _says(error: Exception, *phrases: str) -> bool:
    # The writer of safetensors raises errors that only their text tells apart.
    text = str(error).lower()
    return any(phrase.lower() in text for phrase in phrases)


def _exit_quietly(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
