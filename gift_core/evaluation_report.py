"""What an evaluation came to, computed from its saved answers, and two of them on the same items compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gift_core.errors import SpecError
from gift_core.evaluation_document import (
    ConditionResult,
    EvaluationHeader,
    EvaluationResult,
    Generation,
    LengthComparison,
    Measure,
    SeedComparison,
)
from gift_core.evaluation_files import read_generations, read_header, read_items
from gift_core.spec import SamplingSpec
from gift_core.statistics import Share, bootstrap_difference, compare_paired
from gift_core.tasks.items import Item, Score, fingerprint


@dataclass(frozen=True)
class Evaluation:
    """A folder that `evaluate` wrote, read and scored."""

    header: EvaluationHeader
    items: Sequence[Item]
    generations: Sequence[Mapping[str, Generation]]
    scores: Sequence[Mapping[str, Score]]

    @classmethod
    def read(cls, directory: Path) -> Evaluation:
        """Score the answers in a folder; raises `SpecError` where they are not those of its items."""
        header, items = read_header(directory), read_items(directory)
        if fingerprint(items) != header.items_fingerprint:
            raise SpecError(
                f"The items in {directory.name} are not those that were asked.",
                field="evaluation",
                remedy="Restore items.jsonl, or evaluate again into another folder.",
            )
        task = header.plan.evaluation_task
        known = {item.id: item for item in items}
        generations = read_generations(directory, header, known)
        scores = [
            {name: task.score(known[name], each.response) for name, each in found.items()} for found in generations
        ]
        return cls(header, items, generations, scores)

    def result(self) -> EvaluationResult:
        """The scores of every condition that has answers."""
        return EvaluationResult(
            header=self.header,
            missing=sum(len(self.items) - len(found) for found in self.generations),
            conditions=[
                _condition(sampling, seed, found, scores)
                for (sampling, seed), found, scores in zip(
                    self.header.plan.conditions(), self.generations, self.scores, strict=True
                )
                if found
            ],
        )

    def solved(self, items: Sequence[Item], condition: int) -> list[bool]:
        """Which of these items are solved, [items]."""
        return [self.scores[condition][item.id].solved for item in items]


def compare_evaluations(first: Evaluation, second: Evaluation) -> list[LengthComparison]:
    """Compare two evaluations of the same items; lengths and seeds that only one has are left out.

    Raises `SpecError` where the items differ, or nothing was asked of both.
    """
    if first.header.items_fingerprint != second.header.items_fingerprint:
        raise SpecError(
            "The evaluations are of different items.", field="evaluations", remedy="Evaluate both on the same list."
        )
    places = [
        {(sampling.length, seed): place for place, (sampling, seed) in enumerate(each.header.plan.conditions())}
        for each in (first, second)
    ]
    shared = [condition for condition in places[0] if condition in places[1]]
    lengths = list(dict.fromkeys(length for length, _ in shared))
    found = []
    for length in lengths:
        pairs = [(places[0][each], places[1][each], each[1]) for each in shared if each[0] == length]
        found += _compared(first, second, length, pairs)
    if not found:
        raise SpecError(
            "No length and seed was asked of both.", field="evaluations", remedy="Evaluate both in the same way."
        )
    return found


def _compared(
    first: Evaluation, second: Evaluation, length: int, pairs: Sequence[tuple[int, int, int]]
) -> list[LengthComparison]:
    """None where they have no answered item in common."""
    answered = [
        item
        for item in first.items
        if all(item.id in first.scores[a] and item.id in second.scores[b] for a, b, _ in pairs)
    ]
    if not answered:
        return []
    one = np.array([first.solved(answered, a) for a, _, _ in pairs])
    other = np.array([second.solved(answered, b) for _, b, _ in pairs])
    seeds = [
        SeedComparison(seed=seed, paired=compare_paired(a, b))
        for (_, _, seed), a, b in zip(pairs, one.tolist(), other.tolist(), strict=True)
    ]
    over_seeds = bootstrap_difference(one, other) if len(pairs) > 1 else None
    settings = _differing(first.header.plan.denoiser(), second.header.plan.denoiser())
    return [LengthComparison(length=length, settings=settings, seeds=seeds, over_seeds=over_seeds)]


def _differing(one: SamplingSpec, other: SamplingSpec) -> list[str]:
    """What is not alike apart from the length, which a plan's lengths replace."""
    return [name for name, value in one if name != "length" and value != getattr(other, name)]


def _condition(
    sampling: SamplingSpec, seed: int, found: Mapping[str, Generation], scores: Mapping[str, Score]
) -> ConditionResult:
    answers = list(found.values())
    values = list(scores.values())

    def share(count: int) -> Share:
        return Share.of(count, len(answers))

    return ConditionResult(
        sampling=sampling,
        seed=seed,
        solved=share(sum(score.solved for score in values)),
        measures={
            name: Measure.of([score.measures[name] for score in values], most=1.0) for name in values[0].measures
        },
        truncated=share(sum(not each.ended for each in answers)),
        eos_overflow=share(sum(each.ended and not each.tokens for each in answers)),
        early_termination=share(
            sum(each.ended and bool(each.tokens) and not scores[each.item].answer for each in answers)
        ),
        tokens=Measure.of([each.tokens for each in answers], most=sampling.length),
        passes=Measure.of([each.passes for each in answers], most=sampling.steps),
    )
