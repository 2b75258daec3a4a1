"""Countdown with three numbers as the field evaluates it: numbers to 99, all four signs, targets from 10 to 99."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gift_core.errors import DataError
from gift_core.tasks.answers import boxed_or_tagged
from gift_core.tasks.benchmarks import PREFILL, instructed
from gift_core.tasks.countdown import Rules, first_way, invent, judge_expression
from gift_core.tasks.item_rows import column_of, read_file, text_of
from gift_core.tasks.items import (
    GENERATED,
    EvaluationTaskName,
    FileItems,
    GeneratedItems,
    Item,
    ItemSource,
    Score,
    no_source,
    shown,
    with_one_level,
)
from gift_core.tasks.task import Problem, draw_problems

_TARGETS = range(10, 100)
# Results on the way may be as large as two numbers make them.
_RULES = Rules("+-*/", 99, 99 * 99)
_ANY = Rules("+-*/", 10**9, 10**27)
_INSTRUCTION = (
    "Make the target from the numbers with + - * / and brackets. Use each number exactly once. The answer is the "
    "expression alone, without an equals sign."
)
_ASKED = re.compile(r"Numbers: (\d{1,9}), (\d{1,9}), (\d{1,9})\nTarget: (\d{1,9})", re.ASCII)
# Three numbers, then the target.
Asked = tuple[int, int, int, int]


@dataclass(frozen=True)
class Countdown3:
    name: EvaluationTaskName = "countdown3"
    title: str = "Countdown with 3 numbers"
    default_source: ItemSource = GENERATED

    def items(self, source: ItemSource) -> list[Item]:
        match source:
            case GeneratedItems():
                return self._generated(with_one_level(self.name, source))
            case FileItems():
                found = read_file(source, _row)
                return [self._item(f"{position}", *pair) for position, pair in enumerate(found)]
        raise no_source(self.name, source, "Generate them, or choose a file.")

    def score(self, item: Item, response: str) -> Score:
        answer = boxed_or_tagged(response)
        *numbers, target = asked_in(item.prompt)
        verdict = judge_expression(answer, numbers, target)
        return Score(verdict.solved, shown(answer), verdict.text)

    def _generated(self, source: GeneratedItems) -> list[Item]:
        _, held_out = draw_problems(_invent, self.name, 0, source.seed, source.count)
        return [
            self._item(f"{source.seed}/{index}", asked_in(problem.prompt), problem.answer)
            for index, problem in enumerate(held_out)
        ]

    def _item(self, place: str, asked: Asked, expected: str) -> Item:
        return Item(f"{self.name}/{place}", instructed(_INSTRUCTION, _written(asked)), expected, PREFILL)


def asked_in(prompt: str) -> Asked:
    """The three numbers and the target that a prompt of this task ends with."""
    found = _ASKED.search(prompt)
    assert found, "prompts are written here"
    one, other, third, target = map(int, found.groups())
    return one, other, third, target


def _written(asked: Asked) -> str:
    return f"Numbers: {asked[0]}, {asked[1]}, {asked[2]}\nTarget: {asked[3]}"


def _invent(rng: random.Random) -> Problem:
    while True:
        problem = invent(rng, _RULES)
        one, other, third, target = map(int, re.findall(r"\d+", problem.prompt))
        if target in _TARGETS:
            return Problem(
                _written((one, other, third, target)), problem.reasoning, problem.answer, identity=problem.identity
            )


def _row(row: Mapping[str, object]) -> tuple[Asked, str]:
    """`nums` and `target`, or `input` and `output`: the two layouts in which the field keeps such problems."""
    numbers = _numbers(row, "nums", "input")
    target = _numbers(row, "target", "output")
    if len(numbers) != 3 or len(target) != 1:
        raise DataError(
            f"The row has {len(numbers)} numbers and {len(target)} targets, not three numbers and one target.",
            remedy="Leave it out: this task has three numbers.",
        )
    way = first_way(numbers, target[0], _ANY)
    if way is None:
        raise DataError("The target cannot be reached with these numbers.", remedy="Correct or remove the row.")
    return (numbers[0], numbers[1], numbers[2], target[0]), way[0]


def _numbers(row: Mapping[str, object], *columns: str) -> Sequence[int]:
    """Whole numbers from a list, or from a text in which they stand with commas between."""
    value = row[column_of(row, *columns)]
    text = ",".join(map(str, value)) if isinstance(value, list) else text_of(row, *columns)
    if not re.fullmatch(r"\s*\d{1,9}(\s*[, ]\s*\d{1,9})*\s*", text.strip("[]"), re.ASCII):
        raise DataError(
            f'"{text[:40]}" is not a list of whole numbers of up to nine digits.', remedy="Write it as 3, 5, 8."
        )
    return [int(number) for number in re.findall(r"\d+", text)]
