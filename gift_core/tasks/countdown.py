"""Countdown with three numbers: reach a target with each number exactly once and + - * /."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from gift_core.spec import Difficulty
from gift_core.tasks.arithmetic import LARGEST, apply
from gift_core.tasks.expressions import numbers_in, parse_expression, value_of
from gift_core.tasks.task import Problem, Verdict, answer_in, draw_problems
from gift_core.tasks.wording import chain

name = "countdown"
title = "Countdown"
levels: Mapping[Difficulty, str] = {
    "easy": "numbers and results to 9, + -",
    "standard": "numbers and results to 9, + - * /",
    "hard": "numbers to 20, + - * /",
}

_SYMBOLS: Mapping[Difficulty, str] = {"easy": "+-", "standard": "+-*/", "hard": "+-*/"}
# The largest number given, and the largest result.
_LARGEST: Mapping[Difficulty, tuple[int, int]] = {"easy": (9, 9), "standard": (9, 9), "hard": (20, LARGEST)}
_PROMPT = re.compile(r"\s*Use (\d{1,3}), (\d{1,3}) and (\d{1,3}) to make (\d{1,4})\.\s*")


@dataclass(frozen=True)
class _Part:
    """A number made so far, how it is written, and whether it needs brackets beside another sign."""

    value: int
    text: str
    is_sum: bool = False

    def beside(self, symbol: str, *, on_the_right: bool) -> str:
        bracketed = self.is_sum and (symbol in "*/" or (symbol == "-" and on_the_right))
        # a / (b * c) and a / (b / c) are other numbers without theirs.
        bracketed |= symbol == "/" and on_the_right and not self.text.isdigit()
        return f"({self.text})" if bracketed else self.text


def generate(count: int, difficulty: Difficulty, seed: int, held_out: int) -> tuple[list[Problem], list[Problem]]:
    largest, largest_result = _LARGEST[difficulty]
    make = partial(_invent, symbols=_SYMBOLS[difficulty], largest=largest, largest_result=largest_result)
    return draw_problems(make, f"{name} {difficulty}", count, seed, held_out)


def judge(prompt: str, response: str) -> Verdict | None:
    asked = _PROMPT.fullmatch(prompt)
    if asked is None:
        return None
    *numbers, target = map(int, asked.groups())
    # "3 + 4 = 7" is a way to write an answer.
    tree = parse_expression(answer_in(response).split("=")[0])
    if tree is None:
        return Verdict(False, "no expression")
    if numbers_in(tree) != sorted(numbers):
        return Verdict(False, "does not use each number once")
    value = value_of(tree)
    if value == target:
        return Verdict(True, "solved")
    return Verdict(False, "divides by zero" if value is None else f"makes {value}, not {target}")


def _invent(rng: random.Random, symbols: str, largest: int, largest_result: int) -> Problem:
    """A random way to combine three numbers; its result is the target."""
    while True:
        numbers = [_Part(value, str(value)) for value in (rng.randint(1, largest) for _ in range(3))]
        first = _combined(rng, numbers[0], numbers[1], symbols, largest_result)
        if first is None:
            continue
        left, right = rng.sample([first[0], numbers[2]], 2)
        last = _combined(rng, left, right, symbols, largest_result)
        if last:
            break
    shown = rng.sample([part.text for part in numbers], 3)
    return Problem(
        prompt=f"Use {shown[0]}, {shown[1]} and {shown[2]} to make {last[0].value}.",
        reasoning=chain(rng, [first[1], last[1]]),
        answer=last[0].text,
        title=f"{', '.join(shown)} to {last[0].value}",
    )


def _combined(rng: random.Random, left: _Part, right: _Part, symbols: str, largest: int) -> tuple[_Part, str] | None:
    """What two numbers make with a random sign, and the statement that says so."""
    symbol = rng.choice(symbols)
    value = apply(left.value, symbol, right.value, largest)
    if value is None:
        return None
    text = f"{left.beside(symbol, on_the_right=False)}{symbol}{right.beside(symbol, on_the_right=True)}"
    return _Part(value, text, symbol in "+-"), f"{left.value}{symbol}{right.value}={value}"
