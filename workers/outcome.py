"""How a training process ended, in words for the user."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from gift_core.reporting import RESULT_FILE, write_atomically
from workers.records import RunState

LOG_FILE = "train.log"
FAILURE_FILE = "failure.json"


class Failure(BaseModel):
    """Why a run has no result: a stable code, what happened, which field caused it, and the remedy."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    field: str = ""
    remedy: str = ""

    def write(self, directory: Path) -> None:
        write_atomically(directory / FAILURE_FILE, self.model_dump_json())


@dataclass(frozen=True)
class Outcome:
    """The final state of a run, the cause noted with it, and its result or failure."""

    state: RunState
    cause: str
    result: dict[str, Any] | None = None
    failure: Failure | None = None

    @classmethod
    def failed(cls, failure: Failure) -> Outcome:
        return cls(RunState.FAILED, failure.code, failure=failure)


STOPPED = Outcome(RunState.STOPPED, "stopped on request")
STUDIO_STOPPED = Outcome(
    RunState.INTERRUPTED,
    "the studio was stopped",
    failure=Failure(
        code="shutdown",
        message="The studio was stopped while this run was training.",
        remedy="Launch it again.",
    ),
)


def outcome_of(directory: Path, exit_code: int) -> Outcome:
    """How a process ended by itself, from the files in `directory` and its exit code (negative: a signal)."""
    result = _read_result(directory) if exit_code == 0 else None
    if result is not None:
        return Outcome(RunState.FINISHED, "finished", result=result)
    return Outcome.failed(_read_failure(directory) or _unexplained(directory, exit_code))


def tail(path: Path, size: int) -> str:
    """The last `size` bytes of a text file, "" when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""


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
    see_log = "See the end of the run's log."
    if exit_code == -signal.SIGKILL:
        return Failure(
            code="killed",
            message="The training process was killed by signal 9 (often the system running out of memory).",
            remedy="Lower training.micro_batch_size or data.max_length, or free memory on the machine.",
        )
    if exit_code < 0:
        name = signal.Signals(-exit_code).name
        message = f"The training process was ended by signal {-exit_code} ({name})."
        return Failure(code="crashed", message=message, remedy=see_log)
    how = f"ended with exit code {exit_code}" if exit_code else "ended without a result"
    lines = tail(directory / LOG_FILE, 4096).split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "nothing was logged")
    return Failure(code="exit", message=f"The training process {how}: {last[:300]}", remedy=see_log)
