"""Which micro-batch fits into the memory there is, and whether its activations must be computed twice for that."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from gift_core.activations import MicroBatch, Setup
from gift_core.data.tokenisation import TokenisedExample
from gift_core.memory import MemoryEstimate, predict, readable_size
from gift_core.models.architecture import Architecture
from gift_core.spec import RunSpec

# An estimate is right to 15 %: a suggestion that would fill the memory by estimate might not fit it.
FILLED = 0.87


def micro_batch(examples: Sequence[TokenisedExample]) -> MicroBatch:
    """The micro-batch that `examples` make."""
    lengths = [len(example.input_ids) for example in examples]
    return MicroBatch(
        rows=len(examples),
        length=max(lengths),
        read=sum(example.response_length for example in examples),
        padded=min(lengths) < max(lengths),
    )


def largest_micro_batch(examples: Sequence[TokenisedExample], spec: RunSpec) -> MicroBatch:
    """The one of the longest sequences, in a run of `examples`."""
    rows = spec.training.micro_batch_size or spec.training.batch_size
    return micro_batch(sorted(examples, key=lambda example: len(example.input_ids))[-rows:]).of_rows(rows)


class Suggestion(BaseModel):
    """Values of two fields, with which a run would need `needed` of `available` bytes."""

    model_config = ConfigDict(frozen=True)

    micro_batch_size: int = Field(description="training.micro_batch_size")
    gradient_checkpointing: bool = Field(description="training.gradient_checkpointing")
    needed: int
    available: int

    def __str__(self) -> str:
        checkpointing = "with" if self.gradient_checkpointing else "without"
        return (
            f"training.micro_batch_size {self.micro_batch_size} {checkpointing} training.gradient_checkpointing, which "
            f"would need {readable_size(self.needed)} of {readable_size(self.available)} free"
        )

    def is_what(self, spec: RunSpec) -> bool:
        """Whether `spec` has these values already."""
        training = spec.training
        return (self.micro_batch_size, self.gradient_checkpointing) == (
            training.micro_batch_size or training.batch_size,
            training.gradient_checkpointing,
        )


def fits(estimate: MemoryEstimate, available: int) -> bool:
    """Whether a run can be expected to find room in `available` bytes, the estimate's error included."""
    return estimate.total <= FILLED * available


def suggest(body: Architecture, spec: RunSpec, batch: MicroBatch, available: int) -> Suggestion | None:
    """The largest micro-batch that divides the batch and fits into `available` bytes.

    None where none fits, or where the sizes do not tell. Gradient checkpointing, which takes a third more
    time, only where nothing fits without. `batch` is a micro-batch with the longest sequences there are, of any number
    of rows.
    """
    return _first_that_fits(body, spec, batch, available, spec.training.batch_size, (False, True))


def suggest_smaller(body: Architecture, spec: RunSpec, failed: MicroBatch, available: int) -> Suggestion | None:
    """The same for a run that `failed` in spite of its estimate: at most half as many rows, and no less thrifty."""
    checkpointing = (True,) if spec.training.gradient_checkpointing else (False, True)
    return _first_that_fits(body, spec, failed, available, failed.rows // 2, checkpointing)


def _first_that_fits(
    body: Architecture, spec: RunSpec, batch: MicroBatch, available: int, largest: int, choices: tuple[bool, ...]
) -> Suggestion | None:
    if not body.is_llama:
        return None
    size = spec.training.batch_size
    rows = [rows for rows in range(largest, 0, -1) if size % rows == 0]
    for checkpointing in choices:
        setup = Setup.of(spec.replace({"training.gradient_checkpointing": checkpointing}), body)
        for micro in rows:
            estimate = predict(body, setup, batch.of_rows(micro))
            if fits(estimate, available):
                return Suggestion(
                    micro_batch_size=micro,
                    gradient_checkpointing=checkpointing,
                    needed=estimate.total,
                    available=available,
                )
    return None
