"""A run as `gift train` leaves it: its spec, its result, what it reported, and its checkpoint."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from gift_core.data_spec import FileSource
from gift_core.errors import SpecError
from gift_core.models.adapter_files import is_adapter
from gift_core.provenance import Base, Provenance, own_name
from gift_core.recovery import reported_values
from gift_core.reporting import CHECKPOINT, RESULT_FILE, SPEC_FILE
from gift_core.spec import RunSpec


class Score(BaseModel):
    """Held-out problems solved: `correct` of `n`, their share, and its 95 % Wilson interval."""

    model_config = ConfigDict(frozen=True)

    correct: int
    n: int
    share: float
    low: float
    high: float


class Result(BaseModel):
    """What a run came to. Losses in nats per response token.

    `base` is the name under which the very weights that it started from are found again, which may be a folder. Runs
    from before these were written down have neither it nor a provenance.
    """

    model_config = ConfigDict(frozen=True)

    base: str | None = None
    steps: int
    seconds: float
    final_loss: float | None = None
    held_out_loss: float | None = None
    score: Score | None = None
    provenance: Provenance | None = None


@dataclass(frozen=True)
class FinishedRun:
    """`values` is the last value of every metric the run reported."""

    directory: Path
    spec: RunSpec
    result: Result
    values: dict[str, float]

    @property
    def checkpoint(self) -> Path:
        return self.directory / CHECKPOINT

    @property
    def is_adapter(self) -> bool:
        """Whether the checkpoint is a LoRA adapter and not a whole model."""
        return is_adapter(self.checkpoint)

    @property
    def base(self) -> Base:
        return Base.named(self.result.base or self.spec.model.name)

    @property
    def public_spec(self) -> RunSpec:
        """The spec with folders and files called by their own names, not by where they lay."""
        changes = {"model.name": self.spec.model.name if self.base.hub else self.base.reference}
        if self.spec.model.start_from is not None:
            changes["model.start_from"] = own_name(self.spec.model.start_from)
        if isinstance(self.spec.data.source, FileSource):
            changes["data.source.dataset"] = own_name(self.spec.data.source.dataset)
        return self.spec.replace(changes)

    @property
    def identity(self) -> str:
        """Hexadecimal digits that runs of one spec on the same data share, wherever they lie."""
        provenance = self.result.provenance
        data = provenance.training.sha256 if provenance else ""
        return hashlib.sha256(f"{self.spec.fingerprint()} {data}".encode()).hexdigest()


def read_run(directory: Path) -> FinishedRun:
    """Read the run in `directory`; raises `SpecError` where there is none, or one that has not finished."""
    if not (directory / SPEC_FILE).is_file():
        raise _no_run(
            f"{directory} holds no run: there is no {SPEC_FILE} in it.",
            "Give a folder that gift train wrote, such as runs/gift.",
        )
    if not (directory / RESULT_FILE).is_file() or not (directory / CHECKPOINT).is_dir():
        raise _no_run(
            f"The run in {directory} has not finished.",
            "Go on with it first: the command that started it, with --resume.",
        )
    spec = RunSpec.from_yaml(directory / SPEC_FILE)
    try:
        result = Result.model_validate(json.loads((directory / RESULT_FILE).read_text("utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise _no_run(
            f"{directory / RESULT_FILE} is not the result of a run.", "Train the run again, in another folder."
        ) from error
    return FinishedRun(directory, spec, result, reported_values(directory))


def _no_run(message: str, remedy: str) -> SpecError:
    return SpecError(message, field="run", remedy=remedy)
