"""What a run was trained on, in a few digits that anyone with the data can compute again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gift_core.data.examples import Example

if TYPE_CHECKING:
    from gift_core.data.tokenisation import TokenisedExample


def examples_digest(examples: Iterable[Example]) -> str:
    """SHA-256 in hexadecimal of one line of JSON per example, `[id, prompt, response]` in ASCII, in their order.

    Where turns come before the prompt, `[[role, text], ...]` stands fourth.
    """
    digest = hashlib.sha256()
    for example in examples:
        values: list[object] = [example.id, example.prompt, example.response]
        if example.history:
            values.append(example.history)
        digest.update(json.dumps(values).encode("ascii") + b"\n")
    return digest.hexdigest()


def tokens_digest(examples: Iterable[TokenisedExample], special_ids: Sequence[int]) -> str:
    """SHA-256 in hexadecimal of what a model with these special tokens learns from and is evaluated on, in order."""
    digest = hashlib.sha256(json.dumps([*special_ids]).encode("ascii"))
    for example in examples:
        digest.update(f"{example.prompt_length} {example.tail_length} {example.input_ids}\n".encode("ascii"))
    return digest.hexdigest()
