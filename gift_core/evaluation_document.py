"""An evaluation as data: what was asked, each answer, and what they came to. Like the other documents without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from gift_core.documents import Document
from gift_core.evaluation_spec import EvaluationPlan
from gift_core.spec import SamplingSpec
from gift_core.statistics import Difference, PairedComparison, Share, mean_interval


@dataclass(frozen=True)
class Generation:
    """A response to an item, what the item gave of it included. `tokens` were written before its end, in `passes`
    forward passes; without an end it filled its window."""

    item: str
    response: str
    tokens: int
    ended: bool
    passes: int


class EvaluationHeader(Document):
    """What decides the answers. `model` is the name it went by, `versions` are of the packages that began it."""

    model: str
    model_fingerprint: str
    plan: EvaluationPlan
    items: int
    items_fingerprint: str
    versions: dict[str, str]


class Measure(Document):
    """A mean over items with its 95 % t interval, cut off at what is possible; null if all items have one value."""

    mean: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, values: Sequence[float], *, most: float) -> Measure:
        """The mean of values from 0 to `most`."""
        mean = float(np.mean(values))
        if len(set(values)) < 2:
            return cls(mean=mean, low=None, high=None)
        _, low, high = mean_interval(values, least=0.0, most=most)
        return cls(mean=mean, low=low, high=high)


class ConditionResult(Document):
    """One length and seed. The shares below `solved` say how its responses end; docs/evaluation.md defines them."""

    sampling: SamplingSpec
    seed: int
    solved: Share
    measures: dict[str, Measure] = Field(description="Further measures of the task, such as Sudoku's cells.")
    truncated: Share = Field(description="Without an end: the window was too short.")
    eos_overflow: Share = Field(description="Ended at once: nothing was written.")
    early_termination: Share = Field(description="Ended after something was written, but before an answer.")
    tokens: Measure = Field(description="Written before the end.")
    passes: Measure = Field(description="Forward passes of a response.")


class EvaluationResult(Document):
    """`missing` answers are not there yet: conditions count only what is."""

    header: EvaluationHeader
    missing: int
    conditions: list[ConditionResult]


class SeedComparison(Document):
    """Of two checkpoints with one seed, over the items that both answered."""

    seed: int
    paired: PairedComparison


class LengthComparison(Document):
    """The first checkpoint minus the second at one length: each seed by itself, and over all seeds and items."""

    length: int
    settings: list[str] = Field(description="Fields of the denoiser in which the two were not asked alike.")
    seeds: list[SeedComparison]
    over_seeds: Difference | None = Field(description="Paired bootstrap over seeds and items; null with one seed.")
