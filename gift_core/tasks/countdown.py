"""Countdown with three numbers: reach a target with each number exactly once and + - * /."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from gift_core.data_spec import Difficulty
from gift_core.tasks.arithmetic import apply
from gift_core.tasks.expressions import numbers_in, parse_equation, value_of
from gift_core.tasks.task import Problem, Verdict, answer_in, draw_problems
from gift_core.tasks.wording import chain

name = "countdown"
title = "Countdown"
levels: Mapping[Difficulty, str] = {
    "easy": "numbers to 9, results to 8, + -",
    "standard": "numbers and results to 9, + -",
    "hard": "numbers and results to 9, + - * /",
}


@dataclass(frozen=True)
class Rules:
    """The signs, the largest number given, and the largest result."""

    symbols: str
    largest: int
    largest_result: int


_RULES: Mapping[Difficulty, Rules] = {
    "easy": Rules("+-", 9, 8),
    "standard": Rules("+-", 9, 9),
    "hard": Rules("+-*/", 9, 9),
}
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
    """All are answered in the first of their ways: what commits several tokens at once is not torn between ways."""

    def make(rng: random.Random) -> Problem:
        problem = invent(rng, _RULES[difficulty])
        asked = _asked(problem.prompt)
        assert asked
        *numbers, target = asked
        way = first_way(numbers, target, _RULES[difficulty])
        assert way
        return replace(problem, reasoning=chain(rng, way[1]), answer=way[0])

    return draw_problems(make, f"{name} {difficulty}", count, seed, held_out)


def judge(prompt: str, response: str) -> Verdict | None:
    asked = _asked(prompt)
    if asked is None:
        return None
    *numbers, target = asked
    return judge_expression(answer_in(response), numbers, target)


def judge_expression(text: str, numbers: Sequence[int], target: int) -> Verdict:
    """Whether an answer makes the target of each of the numbers once.

    Of an equation, such as 3 + 4 = 7 or 7 = 3 + 4, the side that uses the numbers is the answer.
    """
    sides = parse_equation(text)
    if not sides:
        return Verdict(False, "no expression")
    values = [value_of(tree) for tree in sides if numbers_in(tree) == sorted(numbers)]
    if not values:
        return Verdict(False, "does not use each number once")
    wrong = [value for value in values if value != target]
    if not wrong:
        return Verdict(True, "solved")
    return Verdict(False, "divides by zero" if wrong[0] is None else f"makes {wrong[0]}, not {target}")


def invent(rng: random.Random, rules: Rules) -> Problem:
    """A random way to combine three numbers; its result is the target."""
    while True:
        numbers = [_Part(value, str(value)) for value in (rng.randint(1, rules.largest) for _ in range(3))]
        first = _combined(numbers[0], rng.choice(rules.symbols), numbers[1], rules)
        if first is None:
            continue
        left, right = rng.sample([first[0], numbers[2]], 2)
        last = _combined(left, rng.choice(rules.symbols), right, rules)
        if last:
            break
    shown = rng.sample([part.text for part in numbers], 3)
    return Problem(
        prompt=f"Use {shown[0]}, {shown[1]} and {shown[2]} to make {last[0].value}.",
        reasoning=chain(rng, [first[1], last[1]]),
        answer=last[0].text,
        title=f"{', '.join(shown)} to {last[0].value}",
        # In another order they are the same numbers.
        identity=f"{sorted(part.value for part in numbers)} {last[0].value}",
    )


def _asked(prompt: str) -> list[int] | None:
    """The three numbers and the target; None where a prompt asks for something else."""
    found = _PROMPT.fullmatch(prompt)
    return [int(number) for number in found.groups()] if found else None


def first_way(numbers: Sequence[int], target: int, rules: Rules) -> tuple[str, list[str]] | None:
    """The first expression that makes the target of three numbers, and its statements; None where there is none."""
    return next(((last.text, steps) for last, steps in _ways(numbers, rules) if last.value == target), None)


def _ways(numbers: Sequence[int], rules: Rules) -> Iterator[tuple[_Part, list[str]]]:
    """What three numbers make, and two statements that say how: large numbers first, and sums before differences."""
    large, middle, small = (_Part(value, str(value)) for value in sorted(numbers, reverse=True))
    for one, other, rest in ((large, middle, small), (large, small, middle), (middle, small, large)):
        for symbols in product(rules.symbols, repeat=2):
            first = _combined(one, symbols[0], other, rules)
            last = first and _combined(*_larger_first(first[0], symbols[1], rest), rules)
            if first and last:
                yield last[0], [first[1], last[1]]


def _larger_first(one: _Part, symbol: str, other: _Part) -> tuple[_Part, str, _Part]:
    return (one, symbol, other) if one.value >= other.value else (other, symbol, one)


def _combined(left: _Part, symbol: str, right: _Part, rules: Rules) -> tuple[_Part, str] | None:
    """What two numbers make, and the statement that says so; None where that is not allowed."""
    value = apply(left.value, symbol, right.value, rules.largest_result)
    if value is None:
        return None
    text = f"{left.beside(symbol, on_the_right=False)}{symbol}{right.beside(symbol, on_the_right=True)}"
    return _Part(value, text, symbol in "+-"), f"{left.value}{symbol}{right.value}={value}"
