"""Which examples say the same twice: within the training data, and between it and what is held out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gift_core.data.examples import Example


@dataclass(frozen=True)
class Overlap:
    """`repeated` training examples say word for word what an earlier one says. `held_out` examples have a prompt that
    is also a training example's, but for case and white space; `learned` of them its response too."""

    repeated: int
    held_out: int
    learned: int


def overlap(training: Sequence[Example], held_out: Sequence[Example]) -> Overlap:
    """Count equal texts; time and memory grow with the number of examples."""
    counts = Counter((example.prompt, example.response) for example in training)
    prompts = {_plain(example.prompt) for example in training} if held_out else set()
    seen = [example for example in held_out if _plain(example.prompt) in prompts]
    answers = {(_plain(example.prompt), _plain(example.response)) for example in training} if seen else set()
    return Overlap(
        repeated=counts.total() - len(counts),
        held_out=len(seen),
        learned=sum((_plain(example.prompt), _plain(example.response)) in answers for example in seen),
    )


def _plain(text: str) -> bytes:
    """Return a digest that texts share which differ in case and white space only."""
    return hashlib.sha256(" ".join(text.casefold().split()).encode("utf-8", "surrogatepass")).digest()
