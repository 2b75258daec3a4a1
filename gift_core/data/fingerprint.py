"""What a run was trained on, in a few digits that anyone with the data can compute again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from gift_core.data.examples import Example


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
