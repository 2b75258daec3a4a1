"""Grade-school stories in which one number changes sentence by sentence.

Each kind of sentence is one template, from which problems are written and with which a prompt is read back: so a story
that a visitor changed is judged too.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from gift_core.tasks.arithmetic import ChainTask, Size, apply, random_chain
from gift_core.tasks.task import Problem
from gift_core.tasks.wording import chain

_NAMES = ("Mia", "Tom", "Anna", "Ben", "Lily", "Sam", "Eva", "Max", "Zoe", "Leo")
_THINGS = ("apples", "books", "coins", "cards", "eggs", "pens", "shells", "stamps")


@dataclass(frozen=True)
class _Sentence:
    """`{n}` is the number that `symbol` takes; `symbol` "" sets it and "?" asks for it."""

    text: str
    symbol: str

    def written(self, who: str, things: str, number: int | None = None) -> str:
        return self.text.format(who=who, things=things, n=number)

    def read(self, sentence: str) -> int | None:
        """The number in a sentence of this kind, 0 for a question; None for another sentence."""
        found = _pattern(self.text).fullmatch(sentence)
        return int(found.groupdict().get("n") or 0) if found else None


_STARTS = (
    _Sentence("{who} has {n} {things}.", ""),
    _Sentence("{who} owns {n} {things}.", ""),
    _Sentence("{who} brings {n} {things}.", ""),
)
_CHANGES = (
    _Sentence("{who} buys {n} {things}.", "+"),
    _Sentence("{who} finds {n} {things}.", "+"),
    _Sentence("{who} gets {n} more.", "+"),
    _Sentence("{who} loses {n} {things}.", "-"),
    _Sentence("{who} sells {n} {things}.", "-"),
    _Sentence("{who} gives {n} away.", "-"),
    _Sentence("Each becomes {n} {things}.", "*"),
    _Sentence("Each makes {n} {things}.", "*"),
    _Sentence("Every {n} become one.", "/"),
    _Sentence("Every {n} make one.", "/"),
)
_QUESTIONS = (
    _Sentence("How many {things} are left?", "?"),
    _Sentence("How many {things} are there?", "?"),
)
# How a step is put down in the reasoning.
_WAYS = ("{step}", "{step}", "{step} {things}")


def _solution(prompt: str) -> int | None:
    """The number that a story ends with; None where it is no story, or does not come out in whole numbers to 99."""
    sentences = re.findall(r"[^.?]+[.?]", prompt[:1000])
    if len(sentences) < 2 or _value(sentences[-1].strip(), _QUESTIONS) is None:
        return None
    start = _value(sentences[0].strip(), _STARTS)
    total = start[1] if start else None
    for sentence in sentences[1:-1]:
        change = _value(sentence.strip(), _CHANGES)
        if change is None or total is None:
            return None
        total = apply(total, *change)
    return total


def _value(sentence: str, kinds: Sequence[_Sentence]) -> tuple[str, int] | None:
    """Symbol and number of a sentence; None where it is of none of these kinds."""
    for kind in kinds:
        number = kind.read(sentence)
        if number is not None:
            return kind.symbol, number
    return None


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """A template as a pattern, with `n` for its number and a word in every other place."""
    pieces = re.split(r"({\w+})", text)
    return re.compile(
        "".join(
            r"(?P<n>\d{1,3})" if piece == "{n}" else r"\w+" if piece.startswith("{") else re.escape(piece)
            for piece in pieces
        )
    )


def _invent(rng: random.Random, size: Size) -> Problem:
    start, steps = random_chain(rng, size)
    who, things = rng.choice(_NAMES), rng.choice(_THINGS)
    sentences = [rng.choice(_STARTS).written(who, things, start)]
    for step in steps:
        change = rng.choice([change for change in _CHANGES if change.symbol == step.symbol])
        sentences.append(change.written(who, things, step.right))
    sentences.append(rng.choice(_QUESTIONS).written(who, things))
    return Problem(
        prompt=" ".join(sentences),
        reasoning=chain(rng, [rng.choice(_WAYS).format(step=step, things=things) for step in steps]),
        answer=str(steps[-1].result),
        title=f"{who}'s {things}",
    )


TASK = ChainTask("word_problems", "Word problems", _invent, _solution)
