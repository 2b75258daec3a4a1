"""Sums that a person does in the head: whole numbers from 1 to 99 at every step, and what to make of an answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gift_core.data_spec import Difficulty
from gift_core.tasks.numbers import number_in
from gift_core.tasks.task import Problem, Verdict, answer_in, draw_problems

LARGEST = 99
LARGEST_FACTOR = 9


@dataclass(frozen=True)
class Size:
    """The shortest and the longest chain of steps, what each step may do, and the largest number in it."""

    shortest: int
    longest: int
    symbols: str
    largest: int


SIZES: Mapping[Difficulty, Size] = {
    "easy": Size(1, 2, "+-*/", 9),
    "standard": Size(3, 3, "+-*/", 9),
    "hard": Size(3, 3, "+-*/", LARGEST),
}
# The same in words.
LEVELS: Mapping[Difficulty, str] = {
    "easy": "one or two steps, numbers to 9",
    "standard": "three steps, numbers to 9",
    "hard": "three steps, numbers to 99",
}


@dataclass(frozen=True)
class Operation:
    """Reads `left symbol right=result`, without spaces: a digit is then the same token wherever it stands."""

    left: int
    symbol: str
    right: int
    result: int

    def __str__(self) -> str:
        return f"{self.left}{self.symbol}{self.right}={self.result}"


def apply(left: int, symbol: str, right: int, largest: int = LARGEST) -> int | None:
    """The result, or None where it is no whole number from 1 to `largest`."""
    if symbol == "/":
        if right == 0 or left % right:
            return None
        result = left // right
    else:
        result = {"+": left + right, "-": left - right, "*": left * right}[symbol]
    return result if 1 <= result <= largest else None


def random_chain(rng: random.Random, size: Size) -> tuple[int, list[Operation]]:
    """A number to start from, and steps that each go on from the last result."""
    length = rng.randint(size.shortest, size.longest)
    while True:
        total = start = rng.randint(1, size.largest)
        steps: list[Operation] = []
        while len(steps) < length:
            step = _next_operation(rng, total, size)
            if step is None:
                break
            steps.append(step)
            total = step.result
        else:
            return start, steps


def _next_operation(rng: random.Random, left: int, size: Size) -> Operation | None:
    """Something to do to `left`, each symbol that can be used as likely as the others; None where nothing can be done.

    No number is above `largest`; factors and divisors come from the tables up to 9.
    """
    possible = {
        symbol: [
            Operation(left, symbol, right, result)
            for right in (range(2, LARGEST_FACTOR + 1) if symbol in "*/" else range(1, size.largest))
            if (result := apply(left, symbol, right, size.largest)) is not None
        ]
        for symbol in size.symbols
    }
    usable = [symbol for symbol in size.symbols if possible[symbol]]
    return rng.choice(possible[rng.choice(usable)]) if usable else None


@dataclass(frozen=True)
class ChainTask:
    """A `Task` of problems that are chains of steps, each answered with the number that it ends with.

    `solution` reads the expected number back from a prompt; None where that holds no problem of the task.
    """

    name: str
    title: str
    invent: Callable[[random.Random, Size], Problem]
    solution: Callable[[str], int | None]

    @property
    def levels(self) -> Mapping[Difficulty, str]:
        return LEVELS

    def generate(
        self, count: int, difficulty: Difficulty, seed: int, held_out: int
    ) -> tuple[list[Problem], list[Problem]]:
        return draw_problems(
            lambda rng: self.invent(rng, SIZES[difficulty]), f"{self.name} {difficulty}", count, seed, held_out
        )

    def judge(self, prompt: str, response: str) -> Verdict | None:
        expected = self.solution(prompt)
        return None if expected is None else _judge_number(expected, response)


def _judge_number(expected: int, response: str) -> Verdict:
    """Whether the answer is the expected number."""
    answer = answer_in(response)
    found = number_in(answer)
    if found is None:
        none = "no single number" if any(map(str.isnumeric, answer)) else "no number"
        return Verdict(False, f"{none}; the answer is {expected}")
    if found.value == expected:
        return Verdict(True, "solved")
    return Verdict(False, f"{found.text}; the answer is {expected}")
