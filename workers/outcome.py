"""How a job's process ended, in words for the user."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from gift_core.reporting import RESULT_FILE, write_atomically
from workers.context import EXIT_DISK_FULL, EXIT_LOST, EXIT_MACHINE, LOG_FILE, STOPPED_FILE
from workers.health.faults import is_missing
from workers.job_log import read_tail
from workers.records import JobState

FAILURE_FILE = "failure.json"


class Failure(BaseModel):
    """Why a job has no result: a stable code, what happened, which field caused it, and the remedy."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    field: str = ""
    remedy: str = ""

    def write(self, directory: Path) -> None:
        write_atomically(directory / FAILURE_FILE, self.model_dump_json())


DISK_FULL = Failure(
    code="disk_full",
    message="The disk is full.",
    remedy="Delete what is no longer needed, and resume it.",
)


# The code of a fault of the machine. A job has it as its failure only once it does not go on by itself any more.
MACHINE = "machine"


def machine_failure(fault: str) -> Failure:
    """Say that a job's process could not do its work because of its machine."""
    return Failure(
        code=MACHINE,
        message=f"Its process could not use its machine: {fault}.",
        remedy="Look at the machine's limits, its disk and its log, and resume it.",
    )


@dataclass(frozen=True)
class Outcome:
    """The final state of an attempt, the cause noted with it, and its result or failure.

    An attempt that `is_loss` counts towards those after which a job does not go on by itself.
    """

    state: JobState
    cause: str
    result: dict[str, Any] | None = None
    failure: Failure | None = None
    is_loss: bool = False

    @property
    def is_explained(self) -> bool:
        """Whether the process itself said why it failed."""
        return self.failure is not None and self.failure.code not in _UNEXPLAINED

    @property
    def may_be_the_machines(self) -> bool:
        """Whether it failed in a way that a machine out of order may have caused."""
        return self.failure is not None and self.failure.code in _OF_ANY_CAUSE

    @classmethod
    def failed(cls, failure: Failure) -> Outcome:
        return cls(JobState.FAILED, failure.code, failure=failure)


# Codes of failures that the process said nothing about.
_UNEXPLAINED = frozenset({"killed", "crashed", "exit"})
# A process that is killed is one that took too much memory, mostly: the machine is well again afterwards.
_OF_ANY_CAUSE = frozenset({"crashed", "exit", "internal"})

STOPPED = Outcome(JobState.STOPPED, "stopped on request")
DISCARDED = Outcome(JobState.STOPPED, "stopped on request, nothing kept")
RESTORED = Outcome(JobState.STOPPED, "stopped on request, what it had before was brought back")
STUDIO_STOPPED = Outcome(JobState.INTERRUPTED, "the studio was stopped")
ENDED_FROM_OUTSIDE = Outcome(JobState.INTERRUPTED, "somebody else ended its process", is_loss=True)
STOOD_STILL = Outcome(JobState.INTERRUPTED, "its worker stood still", is_loss=True)
CUT_OFF = Outcome(JobState.INTERRUPTED, "its worker could not reach the store")


def handed_back(fault: str) -> Outcome:
    """Return the outcome of an attempt that ended because of its machine: it goes on, however often that happens."""
    return Outcome(JobState.INTERRUPTED, f"its machine was at fault: {fault.rstrip('.')}")


def files_refused(fault: str) -> Outcome:
    """Return the outcome of an attempt whose own files cannot be used while its machine is well.

    It is tried again a few times only, since other jobs wait behind it.
    """
    failure = Failure(
        code=MACHINE,
        message=f"Its files cannot be read or written: {fault.rstrip('.')}.",
        remedy="Check who may write to its folder, and resume it.",
    )
    return Outcome(JobState.INTERRUPTED, "its files cannot be used", failure=failure, is_loss=True)


def does_not_end() -> Outcome:
    """Return the outcome of an attempt that cannot begin since something of an earlier one does not end.

    It is tried again a few times only, as above.
    """
    failure = Failure(
        code=MACHINE,
        message="A process of an earlier attempt does not end, even when it is killed.",
        remedy="Look what it waits for, such as a device or a file server, and resume the job when it has ended.",
    )
    return Outcome(JobState.INTERRUPTED, "an earlier attempt does not end", failure=failure, is_loss=True)


def clear(directory: Path) -> None:
    """Remove what an earlier attempt said about its end."""
    for name in (RESULT_FILE, FAILURE_FILE, STOPPED_FILE):
        (directory / name).unlink(missing_ok=True)


def outcome_of(directory: Path, exit_code: int) -> Outcome:
    """How a process ended by itself, from the files in `directory` and its exit code (negative: a signal).

    Raises `OSError` where those files cannot be read: a job that has finished has not failed because of that.
    """
    stopped = exit_code == 0 and (directory / STOPPED_FILE).exists()
    if stopped or exit_code == -signal.SIGTERM:
        return replace(ENDED_FROM_OUTSIDE, result=_read_result(directory))
    if exit_code == EXIT_LOST:
        return STOOD_STILL
    if exit_code == EXIT_DISK_FULL:
        return Outcome.failed(DISK_FULL)
    if exit_code == EXIT_MACHINE:
        return _of_machine(machine_failure("The studio's files cannot be read or written"))
    result = _read_result(directory) if exit_code == 0 else None
    if result is not None:
        return Outcome(JobState.FINISHED, "finished", result=result)
    failure = _read_failure(directory) or _unexplained(directory, exit_code)
    return _of_machine(failure) if failure.code == MACHINE else Outcome.failed(failure)


def _of_machine(failure: Failure) -> Outcome:
    return Outcome(JobState.INTERRUPTED, "its machine was at fault", failure=failure)


def _read_result(directory: Path) -> dict[str, Any] | None:
    try:
        result = json.loads((directory / RESULT_FILE).read_text("utf-8"))
    except (OSError, ValueError) as error:
        _require_readable(error)
        return None
    return result if isinstance(result, dict) else None


def _read_failure(directory: Path) -> Failure | None:
    try:
        return Failure.model_validate_json((directory / FAILURE_FILE).read_text("utf-8"))
    except (OSError, ValidationError) as error:
        _require_readable(error)
        return None


def _require_readable(error: OSError | ValueError) -> None:
    """Take what is missing, or was cut short, for nothing. What cannot be read now may be there."""
    if isinstance(error, OSError) and not is_missing(error):
        raise error


def _unexplained(directory: Path, exit_code: int) -> Failure:
    see_log = "See the end of its log."
    if exit_code == -signal.SIGKILL:
        return Failure(
            code="killed",
            message="Its process was killed by signal 9 (often the system running out of memory).",
            remedy="Lower training.micro_batch_size or data.max_length, or free memory on the machine, and resume it.",
        )
    if exit_code < 0:
        name = signal.Signals(-exit_code).name
        message = f"Its process was ended by signal {-exit_code} ({name})."
        return Failure(code="crashed", message=message, remedy=see_log)
    how = f"ended with exit code {exit_code}" if exit_code else "ended without a result"
    lines = read_tail(directory / LOG_FILE, 4096).text.split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "nothing was logged")
    return Failure(code="exit", message=f"Its process {how}: {last[:300]}", remedy=see_log)
