"""What is said of an experiment before it is launched. Imports neither torch nor transformers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gift_core.documents import Document
from gift_core.errors import Problem

# In points. How many items tell a difference grows with its square: for this one, a million.
LEAST_EFFECT = 0.1

WarningCode = Literal[
    "no_checkpoint",
    "eos_tail",
    "truncated",
    "left_out",
    "overlap",
    "duplicates",
    "nothing_held_out",
    "few_items",
    "warmup",
    "learning_rate",
    "masks_nothing",
    "masks_everything",
    "no_effect",
    "memory",
    "disk",
]


class PreflightWarning(Document):
    """Something that can be launched, and that its author may not have meant."""

    code: WarningCode
    message: str
    field: str = Field("", description="The field of the spec in which the remedy lies, dotted.")
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".rstrip()


class TokenEstimate(Document):
    """What one run learns from. Tokens are those of one epoch."""

    examples: int
    held_out: int
    truncated: int = Field(description="Training examples that lose their end.")
    dropped: int = Field(description="Training examples that are left out.")
    prompt: int
    response: int = Field(description="Tokens to be learned, the EOS tail among them.")
    tail: int
    longest: int = Field(description="Of the longest sequence, in tokens.")
    padding: int = Field(description="Positions that are computed and hold nothing.")
    counted: int = Field(description="Examples that were counted; the rest is inferred.")


class StepEstimate(Document):
    """Optimiser steps of one run."""

    steps: int
    per_epoch: int
    warmup: int
    checkpoint_every: int
    evaluations: int = Field(description="How often the held-out loss is measured.")


class MemoryNeed(Document):
    """Bytes at the peak of one run, apart from the program itself: by the model's sizes, to 15 %."""

    needed: int
    weights: int
    gradients: int
    optimiser: int
    activations: int
    available: int | None = Field(description="Bytes that are free; null where that is not known.")


class DiskEstimate(Document):
    """Bytes that the runs write, one run after the other."""

    checkpoint: int = Field(description="One of those from which a run resumes.")
    final: int = Field(description="The trained model, or its adapter.")
    logs: int = Field(description="Metrics, spec and result.")
    rates: int = Field(description="Frozen rates, which all runs share.")
    peak: int = Field(description="Of one run, while it is trained.")
    left: int = Field(description="Of one run, once it has finished.")
    experiment: int = Field(description="Of all runs, when the last of them is at its peak.")
    available: int | None = Field(description="Bytes that are free; null where that is not known.")


class TimeEstimate(Document):
    """Seconds that one run, or all of them, trains: held-out losses, checkpoints and scoring come on top."""

    label: str
    likely: float
    low: float = Field(description="measured: the lower quartile. computed: no run is faster.")
    high: float = Field(description="measured: the upper quartile. computed: no run is slower.")
    basis: Literal["measured", "computed"] = Field(
        description="measured: the speed of earlier runs of the same kind. computed: from the number of operations and "
        "the speed of a matrix product on this machine, which is no more than the order of magnitude."
    )
    explanation: str


class Estimates(Document):
    """null is not known: it depends on what is wrong, or on what cannot be told from sizes."""

    runs: int | None = Field(description="How many runs the experiment has.")
    tokens: TokenEstimate | None = None
    steps: StepEstimate | None = None
    memory: MemoryNeed | None = None
    disk: DiskEstimate | None = None
    time: TimeEstimate | None = Field(None, description="Of all runs, one after the other.")
    time_by_run: tuple[TimeEstimate, ...] = ()


class PreflightReport(Document):
    """Everything that is wrong with an experiment, what else is worth knowing, and what it would take."""

    ok: bool = Field(description="Whether it could be launched.")
    problems: list[Problem] = Field(
        description="Each thing that stands in the way. `field` is dotted as in a run's YAML file, or a row of data."
    )
    warnings: list[PreflightWarning]
    estimates: Estimates
