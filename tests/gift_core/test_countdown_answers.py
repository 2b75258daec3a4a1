"""Countdown answers: every way of writing an expression, and nothing that is not one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gift_core.tasks.items import FileItems, Item
from gift_core.tasks.registry import EVALUATION_TASKS, judge

DATA = Path(__file__).parents[1] / "data"
COUNTDOWN = [
    ("(3+4)*5", True),
    ("(3+4)⋅5", True),
    ("(3+4)∗5", True),
    ("(3+4)×5", True),
    ("(3+4)•5", True),
    ("(3+4)・5", True),
    ("(3+4)∙5", True),
    ("（３＋４）＊５", True),
    (r"(3+4)\times 5", True),
    (r"\left(3+4\right)\cdot 5", True),
    (r"\((3 + 4) * 5\)", True),
    (r"\[(3+4)*5\]", True),
    ("$(3+4)*5$", True),
    (r"\text{(3+4)} * 5", True),
    (r"5 \div \frac{1}{3+4}", False),
    (r"\frac{5}{1} * (3+4)", False),
    ("`(3+4)*5`", True),
    ("```\n(3+4)*5\n```", True),
    ("```python\n(3+4)*5\n```", True),
    ("**(3+4)*5**", True),
    ("*(3+4)*5*", True),
    ("_(3+4)*5_", True),
    ("(3+4)*5.", True),
    ("(3+4) *5", True),
    ("(03+4.0)*5", True),
    ("(3+4)*5 = 35", True),
    ("(3+4)*5 = 7*5 = 35", True),
    ("35 = (3+4)*5", True),
    ("35 = 7*5 = (3+4)*5", True),
    (r"35=(3+4)\times 5.", True),
    ("x = (3+4)*5", True),
    ("(3+4)*5\u200b", True),
    # Two expressions of which one is wrong are no answer.
    ("3*4*5 = (3+4)*5", False),
    ("3+4=7, 7*5=35", False),
    ("3+4=7\n7*5=35", False),
    ("7*5", False),
    ("(3+4)*5*1", False),
    ("(3+4)*5+3-3", False),
    ("5*7", False),
    ("35", False),
    ("35 = 35", False),
    ("(3+4)*5!", False),
    ("(3^1+4)*5", False),
    ("(3+4)**1*5", False),
    ("(3+4)%99*5", False),
    ("(3+4)*x", False),
    ("(x+4)*5", False),
    ("(3|4)*5", False),
    ("int(3+4)*5", False),
    ("(3+4)*5 or 3*4*5", False),
    ("(3+4", False),
    ("\u200b", False),
    ("", False),
]


@pytest.mark.parametrize(("answer", "solved"), COUNTDOWN)
def test_countdown_reads_every_sign_and_mark_and_nothing_else(answer: str, solved: bool) -> None:
    item = Item("countdown3/0", "Numbers: 3, 4, 5\nTarget: 35", "")
    for response in (f"<answer>{answer}</answer>", rf"<answer>\boxed{{{answer}}}</answer>"):
        assert EVALUATION_TASKS["countdown3"].score(item, response).solved == solved
    verdict = judge("Use 3, 4 and 5 to make 35.", f"<answer>{answer}</answer>")
    assert verdict is not None
    assert verdict.solved == solved


@pytest.mark.parametrize("number", range(6))
def test_the_reported_countdown_answers_are_solved(number: int) -> None:
    items = EVALUATION_TASKS["countdown3"].items(FileItems(path=DATA / "answers" / "countdown_items.jsonl"))
    row = json.loads((DATA / "answers" / "countdown_responses.jsonl").read_text("utf-8").splitlines()[number])
    assert EVALUATION_TASKS["countdown3"].score(items[number], row["response"]).solved == row["should"]
