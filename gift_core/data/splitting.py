"""A held-out part that shares nothing with what is trained on: examples that ask the same stay together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from gift_core.data.examples import Example, prompt_key

# At most this share of a file is held out, however many examples were asked for.
_LARGEST_HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class Split:
    """Training and held-out examples; no prompt is in both."""

    training: list[Example]
    held_out: list[Example]


def split_by_prompt(examples: Iterable[Example], held_out: int) -> Split:
    """Hold out up to `held_out` examples, whole groups of equal prompts, those first whose prompts hash lowest.

    What is held out follows from the rows alone, not from their order. A group that is larger than what there is still
    room for stays with the training examples.
    """
    groups: defaultdict[bytes, list[Example]] = defaultdict(list)
    for example in examples:
        groups[prompt_key(example)].append(example)
    total = sum(map(len, groups.values()))
    room = min(held_out, int(total * _LARGEST_HELD_OUT_SHARE))
    training: list[Example] = []
    others: list[Example] = []
    for _, group in sorted(groups.items()):
        if len(group) <= room:
            others += group
            room -= len(group)
        else:
            training += group
    return Split(sorted(training, key=lambda example: example.id), others)
