"""What a job's process is given, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from gift_core.errors import DataError, ModelError
from gift_core.reporting import CHECKPOINT, Line
from workers.records import JobKind

if TYPE_CHECKING:
    from gift_core.models.loading import DiffusionModel

# In a job's directory.
JOB_FILE = "job.json"
LOG_FILE = "job.log"
_LEASE = "lease-"
# Its process leaves this when it stopped as it was told to.
STOPPED_FILE = "stopped"
RATES = "rates"
# How its process says that nobody told it any more that the job is its own.
EXIT_LOST = 75
# How it says that the disk is full where there is no room to write that down.
EXIT_DISK_FULL = 74
# How it says that its machine is at fault, where it can write down nothing.
EXIT_MACHINE = 71


class JobFile(BaseModel):
    """What the supervisor writes down for the process of one attempt."""

    model_config = ConfigDict(frozen=True)

    kind: JobKind
    attempt: int
    resume: bool
    spec: dict[str, Any]


@dataclass(frozen=True)
class JobContext:
    """Where the process of a job works. `stop` is asked between steps: true means to save and to raise `StoppedError`;
    `keep_result` says whether what there is by then is wanted as a result as well."""

    directory: Path
    data: Path
    resume: bool
    report: Callable[[Line], None]
    stop: Callable[[], bool]
    keep_result: Callable[[], bool]

    def dataset(self, dataset_id: str) -> Path:
        """The uploaded file with that id; raises `DataError`. The id is compared, never made into a path."""
        for path in (self.data / "datasets").iterdir():
            if path.stem == dataset_id:
                return path
        raise DataError(
            "The data set is not there any more.", field="data.source.dataset", remedy="Upload the file again."
        )

    def run(self, run_id: str) -> Path:
        """The folder of a run; raises `ModelError`. The id is compared, never made into a path."""
        found = self._run(run_id)
        if found is None:
            raise ModelError(
                f"There are no weights of {run_id} any more.",
                field="model.start_from",
                remedy="Start from another run, or from the base.",
            )
        return found

    def model(self, checkpoint: str) -> DiffusionModel:
        """A base model, or what a run made of it; raises `ModelError`."""
        from gift_core.models.loading import load_base, load_checkpoint

        if (run := self._run(checkpoint)) is not None:
            directory = run / CHECKPOINT
            if not directory.is_dir():
                raise ModelError(
                    f"The weights of {checkpoint} are not there any more.",
                    field="checkpoint",
                    remedy="Choose another checkpoint, or train it again.",
                )
            return load_checkpoint(directory)
        return load_base(checkpoint)

    def _run(self, run_id: str) -> Path | None:
        runs = self.data / "runs"
        return next((path for path in runs.iterdir() if path.name == run_id), None) if runs.is_dir() else None


def lease_file(attempt: int) -> str:
    """Until when the process of an attempt may go on. Each attempt has its own: one that was given up does not live on
    by what the next one is told."""
    return f"{_LEASE}{attempt}"


def is_lease(name: str) -> bool:
    """Whether a file in a job's directory is called like a lease."""
    return name.startswith(_LEASE)


def channel(attempt: int) -> str:
    """The file that an attempt appends its reports to; nobody ever shortens it."""
    return f"reports-{attempt}.jsonl"
