"""How a job's process ended, in words for the user."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from gift_core.reporting import RESULT_FILE, write_atomically
from workers.context import EXIT_DISK_FULL, EXIT_LOST, LOG_FILE, STOPPED_FILE
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


@dataclass(frozen=True)
class Outcome:
    """The final state of an attempt, the cause noted with it, and its result or failure."""

    state: JobState
    cause: str
    result: dict[str, Any] | None = None
    failure: Failure | None = None

    @property
    def is_explained(self) -> bool:
        """Whether the process itself said why it failed."""
        return self.failure is not None and self.failure.code not in _UNEXPLAINED

    @classmethod
    def failed(cls, failure: Failure) -> Outcome:
        return cls(JobState.FAILED, failure.code, failure=failure)


# Codes of failures that the process said nothing about.
_UNEXPLAINED = frozenset({"killed", "crashed", "exit"})

STOPPED = Outcome(JobState.STOPPED, "stopped on request")
DISCARDED = Outcome(JobState.STOPPED, "stopped on request, nothing kept")
RESTORED = Outcome(JobState.STOPPED, "stopped on request, what it had before was brought back")
STUDIO_STOPPED = Outcome(JobState.INTERRUPTED, "the studio was stopped")
ENDED_FROM_OUTSIDE = Outcome(JobState.INTERRUPTED, "somebody else ended its process")
CUT_OFF = Outcome(JobState.INTERRUPTED, "its worker could not reach the store")


def clear(directory: Path) -> None:
    """Remove what an earlier attempt said about its end."""
    for name in (RESULT_FILE, FAILURE_FILE, STOPPED_FILE):
        (directory / name).unlink(missing_ok=True)


def outcome_of(directory: Path, exit_code: int) -> Outcome:
    """How a process ended by itself, from the files in `directory` and its exit code (negative: a signal)."""
    stopped = exit_code == 0 and (directory / STOPPED_FILE).exists()
    if stopped or exit_code == -signal.SIGTERM:
        return replace(ENDED_FROM_OUTSIDE, result=_read_result(directory))
    if exit_code == EXIT_LOST:
        return CUT_OFF
    if exit_code == EXIT_DISK_FULL:
        return Outcome.failed(DISK_FULL)
    result = _read_result(directory) if exit_code == 0 else None
    if result is not None:
        return Outcome(JobState.FINISHED, "finished", result=result)
    return Outcome.failed(_read_failure(directory) or _unexplained(directory, exit_code))


def _read_result(directory: Path) -> dict[str, Any] | None:
    try:
        result = json.loads((directory / RESULT_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return result if isinstance(result, dict) else None


def _read_failure(directory: Path) -> Failure | None:
    try:
        return Failure.model_validate_json((directory / FAILURE_FILE).read_text("utf-8"))
    except (OSError, ValidationError):
        return None


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
