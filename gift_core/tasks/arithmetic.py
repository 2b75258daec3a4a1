"""Sums that a person does in the head: whole numbers from 1 to 99 at every step, and what to make of an answer."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from gift_core.tasks.task import Verdict, answer_in

LARGEST = 99
LARGEST_FACTOR = 9
_NUMBER = re.compile(r"-?\d{1,15}(?!\d)")


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


def next_operation(rng: random.Random, left: int, symbols: str, largest: int) -> Operation | None:
    """Something to do to `left`, each symbol that can be used as likely as the others; None where nothing can be done.

    No number is above `largest`; factors and divisors come from the tables up to 9.
    """
    possible = {
        symbol: [
            Operation(left, symbol, right, result)
            for right in (range(2, min(largest, LARGEST_FACTOR) + 1) if symbol in "*/" else range(1, largest))
            if (result := apply(left, symbol, right, largest)) is not None
        ]
        for symbol in symbols
    }
    usable = [symbol for symbol in symbols if possible[symbol]]
    return rng.choice(possible[rng.choice(usable)]) if usable else None


def judge_number(expected: int, response: str) -> Verdict:
    """Whether the last number of the answer is the expected one."""
    numbers = _NUMBER.findall(answer_in(response))
    if not numbers:
        return Verdict(False, f"no number; the answer is {expected}")
    if int(numbers[-1]) == expected:
        return Verdict(True, "solved")
    return Verdict(False, f"{numbers[-1]}; the answer is {expected}")
