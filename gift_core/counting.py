"""What one epoch of a run consists of: its steps, and what each of them computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gift_core.data.collation import EpochBatches
from gift_core.data.tokenisation import TokenisedExample
from gift_core.spec import RunSpec
from gift_core.training import batch_shape


@dataclass(frozen=True)
class StepBatch:
    """One optimiser step: its examples, the cells it computes, in all and in its largest micro-batch, and the tail that
    `longest` adds to its examples. `squares` sums, over all rows, the square of their padded length."""

    indices: tuple[int, ...]
    longest: int
    positions: int
    largest: int
    added_tail: int
    squares: int


@dataclass(frozen=True)
class Epoch:
    """Tokens and cells of one epoch."""

    steps: int
    prompt_tokens: int
    response_tokens: int
    tail_tokens: int
    longest: int
    positions: int
    squares: int

    @classmethod
    def of(cls, examples: Sequence[TokenisedExample], batches: Sequence[StepBatch]) -> Epoch:
        """The epoch that divides `examples` into `batches`."""
        added = sum(batch.added_tail for batch in batches)
        return cls(
            steps=len(batches),
            prompt_tokens=sum(example.prompt_length for example in examples),
            response_tokens=sum(example.response_length for example in examples) + added,
            tail_tokens=sum(example.tail_length for example in examples) + added,
            longest=max(batch.longest for batch in batches),
            positions=sum(batch.positions for batch in batches),
            squares=sum(batch.squares for batch in batches),
        )

    def scaled(self, factor: float, steps: int) -> Epoch:
        """An epoch of `steps` and of so many times the examples, all like these."""
        return replace(
            self,
            steps=steps,
            prompt_tokens=round(factor * self.prompt_tokens),
            response_tokens=round(factor * self.response_tokens),
            tail_tokens=round(factor * self.tail_tokens),
            positions=round(factor * self.positions),
            squares=round(factor * self.squares),
        )

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.response_tokens

    @property
    def padding(self) -> int:
        """Cells that hold no token."""
        return self.positions - self.tokens


def epoch_batches(examples: Sequence[TokenisedExample], spec: RunSpec) -> list[StepBatch]:
    """The first epoch, which stands for all: they differ only in who is next to whom."""
    lengths = np.array([len(example.input_ids) for example in examples])
    shape = batch_shape(spec)
    to_longest = spec.data.eos_tail == "longest"
    found = []
    for indices in EpochBatches(lengths.tolist(), shape, spec.seed).batches():
        own = np.full(len(indices), lengths[indices].max()) if to_longest else lengths[indices]
        parts = [own[start : start + shape.micro_batch_size] for start in range(0, len(own), shape.micro_batch_size)]
        cells = [int(part.max()) * len(part) for part in parts]
        added = int((own - lengths[indices]).sum())
        squares = sum(int(part.max()) ** 2 * len(part) for part in parts)
        found.append(StepBatch(tuple(indices.tolist()), int(own.max()), sum(cells), max(cells), added, squares))
    return found
