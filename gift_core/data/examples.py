"""An example before tokenisation."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from typing import Literal, NamedTuple

Role = Literal["system", "user", "assistant"]
_SPACE = re.compile(r"\s+")


class Turn(NamedTuple):
    """What one speaker said before the last question."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Example:
    """`id` is the row (from 1 for files, from 0 for generated tasks) and keys the example's noise.

    `prompt` is the user's last turn, `history` are the turns before it, a system turn first. Only `response` is
    learned.
    """

    id: int
    prompt: str
    response: str
    history: tuple[Turn, ...] = ()

    @property
    def asked(self) -> int:
        """Characters of everything before the response."""
        return len(self.prompt) + sum(len(turn.text) for turn in self.history)


def prompt_key(example: Example) -> bytes:
    """Return a digest that examples share which ask the same.

    White space, capitals and the system turn make no difference. The texts themselves, if they were kept, would take as
    much memory as the examples.
    """
    asked = "\n".join(turn.text for turn in example.history if turn.role != "system")
    text = f"{asked}\n{example.prompt}" if asked else example.prompt
    key = _SPACE.sub(" ", unicodedata.normalize("NFC", text)).strip().casefold()
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
