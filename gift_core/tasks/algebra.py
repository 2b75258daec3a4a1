"""Expressions to compute and equations in x to solve, a step at a time."""

from __future__ import annotations

import random
import re

from gift_core.tasks.arithmetic import LARGEST, ChainTask, Operation, Size, random_chain
from gift_core.tasks.expressions import parse_expression, value_of
from gift_core.tasks.task import Problem
from gift_core.tasks.wording import chain

_INVERSE = {"+": "-", "-": "+", "*": "/", "/": "*"}
_EXPRESSION = re.compile(r"\s*Compute (.{1,80})\.\s*")
_EQUATION = re.compile(r"\s*Solve ([^=]{1,80})=\s*(\d{1,4}) for x\.\s*")


def _solution(prompt: str) -> int | None:
    """The only whole number from 0 to 99 that is right."""
    if asked := _EXPRESSION.fullmatch(prompt):
        tree = parse_expression(asked[1])
        value = value_of(tree) if tree else None
        return int(value) if value is not None and value.denominator == 1 else None
    if asked := _EQUATION.fullmatch(prompt):
        tree = parse_expression(asked[1])
        found = [x for x in range(LARGEST + 1) if tree and value_of(tree, {"x": x}) == int(asked[2])]
        return found[0] if len(found) == 1 else None
    return None


def _invent(rng: random.Random, size: Size) -> Problem:
    start, steps = random_chain(rng, size)
    return _expression(rng, start, steps) if rng.random() < 0.5 else _equation(rng, start, steps)


def _expression(rng: random.Random, start: int, steps: list[Operation]) -> Problem:
    text = _written(str(start), steps)
    return Problem(
        prompt=f"Compute {text}.",
        reasoning=chain(rng, [str(step) for step in steps]),
        answer=str(steps[-1].result),
        title=text,
    )


def _equation(rng: random.Random, start: int, steps: list[Operation]) -> Problem:
    text = f"{_written('x', steps)}={steps[-1].result}"
    undone = [Operation(step.result, _INVERSE[step.symbol], step.right, step.left) for step in reversed(steps)]
    statements = [str(step) for step in undone[:-1]] + [f"x={undone[-1].left}{undone[-1].symbol}{undone[-1].right}"]
    return Problem(prompt=f"Solve {text} for x.", reasoning=chain(rng, statements), answer=str(start), title=text)


def _written(start: str, steps: list[Operation]) -> str:
    text, is_sum = start, False
    for step in steps:
        if is_sum and step.symbol in "*/":
            text = f"({text})"
        text = f"{text}{step.symbol}{step.right}"
        is_sum = step.symbol in "+-"
    return text


TASK = ChainTask("algebra", "Expressions and equations", _invent, _solution)
