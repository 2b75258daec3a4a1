"""What is evaluated and how: a task's items, the lengths and seeds, and the settings of the denoiser."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt
from pydantic import model_validator as check

from gift_core.errors import SpecError
from gift_core.section import Section, Seed
from gift_core.spec import SamplingSpec
from gift_core.tasks.items import EvaluationTask, EvaluationTaskName, ItemSource
from gift_core.tasks.registry import EVALUATION_TASKS, TASKS

# The field's protocol (d1): greedy, blocks of 32, half as many steps as tokens.
PROTOCOL = SamplingSpec(length=256, block_length=32, steps=128)


class EvaluationPlan(Section):
    """Two equal plans on equal items ask a model the same. What is left out is what suits the task."""

    task: EvaluationTaskName = Field("sudoku", description="A built-in task, or a benchmark of docs/tasks.md.")
    source: ItemSource | None = Field(None, description="Where its items come from; the task's own list if left out.")
    sampling: SamplingSpec | None = Field(
        None, description="The denoiser: the defaults for built-in tasks; blocks of 32 and 128 steps for benchmarks."
    )
    lengths: Annotated[tuple[PositiveInt, ...], Field(max_length=8)] = Field(
        (), description="Tokens to generate; with each, as many steps per token as sampling has."
    )
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=32)] = Field(
        (0,), description="Keys of the noise; several need something that is drawn."
    )

    @check(mode="after")
    def _several_seeds_draw_something(self) -> EvaluationPlan:
        sampling = self.denoiser()
        if len(self.seeds) > 1 and sampling.temperature == 0 and sampling.remasking not in ("random", "origin"):
            raise ValueError("several seeds give the same answers at temperature 0: set sampling.temperature")
        if len(set(self.seeds)) < len(self.seeds) or len(set(self.lengths)) < len(self.lengths):
            raise ValueError("each seed and each length may be named once")
        return self

    @property
    def evaluation_task(self) -> EvaluationTask:
        return EVALUATION_TASKS[self.task]

    def denoiser(self) -> SamplingSpec:
        """The settings at the length that they name."""
        return self.sampling or (SamplingSpec() if self.task in TASKS else PROTOCOL)

    def conditions(self) -> list[tuple[SamplingSpec, int]]:
        """Settings and seed of each time that the list is asked; raises `SpecError` for a length that does not fit."""
        base = self.denoiser()
        return [(_at_length(base, length), seed) for length in self.lengths or (base.length,) for seed in self.seeds]


def _at_length(base: SamplingSpec, length: int) -> SamplingSpec:
    """With as many steps per token, and blocks as they are unless the response is one block."""
    block = length if base.block_length == base.length else base.block_length
    steps = base.steps * length / base.length
    if steps != int(steps) or not steps:
        raise SpecError(
            f"{base.steps} steps for {base.length} tokens are {steps:g} for {length}.",
            field="lengths",
            remedy="Choose a length for which they are a whole number.",
        )
    return SamplingSpec.parse(base.model_dump() | {"length": length, "block_length": block, "steps": int(steps)})
