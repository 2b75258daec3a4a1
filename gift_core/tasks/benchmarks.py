"""The field's benchmarks of school mathematics, GSM8K and MATH-500, in the zero-shot protocol of d1.

The instruction stands in the user turn and asks for reasoning, then a boxed answer; the response begins with an opened
`<reasoning>`. The wording is this project's own: numbers of other programs are near, not equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gift_core.errors import DataError
from gift_core.tasks.answers import boxed_or_tagged, number_answer
from gift_core.tasks.equivalence import Equivalence
from gift_core.tasks.item_rows import read_file, read_hub, text_of
from gift_core.tasks.items import (
    FROM_HUB,
    EvaluationTaskName,
    FileItems,
    GeneratedItems,
    HubItems,
    Item,
    ItemSource,
    Score,
    no_source,
    scored,
    shown,
)
from gift_core.tasks.math_strings import other_base, same_text, spelled_alike
from gift_core.tasks.notation import unmarked
from gift_core.tasks.numbers import number_in

PREFILL = "<reasoning>\n"
BOXED_FORM = r"<reasoning>your reasoning</reasoning><answer>\boxed{your answer}</answer>"
# Problem and reference answer.
Pair = tuple[str, str]
Reader = Callable[[Mapping[str, object]], Pair]


def instructed(instruction: str, problem: str) -> str:
    """The user turn: what to do and in which form, then the problem."""
    return f"{instruction} Respond in this form:\n{BOXED_FORM}\n\n{problem}"


@dataclass(frozen=True)
class Gsm8k:
    """Grade-school word problems; the answer is a number."""

    name: EvaluationTaskName = "gsm8k"
    title: str = "GSM8K"
    default_source: ItemSource = FROM_HUB

    def items(self, source: ItemSource) -> list[Item]:
        pairs = _pairs(self.name, source, "openai/gsm8k", "main/test-00000-of-00001.parquet", _gsm8k_pair)
        instruction = "Solve the problem step by step. The answer is a single number, without its unit."
        return _listed(self.name, instruction, pairs)

    def score(self, item: Item, response: str) -> Score:
        expected = number_in(item.expected)
        found = number_answer(response)
        solved = found is not None and expected is not None and found.value == expected.value
        if found is not None:
            return scored(item, solved, found.text)
        answer = boxed_or_tagged(response)
        if not any(map(str.isnumeric, answer)):
            return scored(item, solved, "")
        return Score(solved, shown(answer), f"{shown(answer)} is not a single number; the answer is {item.expected}")


@dataclass(frozen=True)
class Math500:
    """Competition problems; the answer is an expression. `equivalence` is where math-verify runs."""

    name: EvaluationTaskName = "math500"
    title: str = "MATH-500"
    default_source: ItemSource = FROM_HUB
    equivalence: Equivalence = field(default_factory=Equivalence, repr=False, compare=False)

    def items(self, source: ItemSource) -> list[Item]:
        pairs = _pairs(self.name, source, "HuggingFaceH4/MATH-500", "test.jsonl", _math_pair)
        instruction = "Solve the problem step by step. The answer is a number or an expression in LaTeX."
        return _listed(self.name, instruction, pairs)

    def score(self, item: Item, response: str) -> Score:
        """`string_match` is the older measure: equal once spelled alike."""
        # A full stop ends the sentence; math-verify would not read what stands before it.
        answer = unmarked(boxed_or_tagged(response)).removesuffix(".").rstrip()
        spelled = spelled_alike(answer)
        alike = bool(spelled) and spelled == spelled_alike(item.expected)
        return scored(item, self._is_equal(item.expected, answer), answer, {"string_match": float(alike)})

    def _is_equal(self, expected: str, answer: str) -> bool:
        """Equal texts and equal numbers are equal whatever math-verify can make of them."""
        if not answer or other_base(expected, answer):
            return False
        if same_text(expected, answer):
            return True
        one, other = number_in(expected), number_in(answer)
        return (one is not None and other is not None and one.value == other.value) or self.equivalence.equal(
            expected, answer
        )


def _pairs(name: EvaluationTaskName, source: ItemSource, dataset: str, file: str, read: Reader) -> list[Pair]:
    match source:
        case FileItems():
            return read_file(source, read)
        case HubItems():
            return read_hub(source, dataset, file, read)
        case GeneratedItems():
            raise no_source(name, source, "Choose the Hub, or a file with its problems.")


def _listed(name: EvaluationTaskName, instruction: str, pairs: list[Pair]) -> list[Item]:
    return [
        Item(f"{name}/{position}", instructed(instruction, problem), expected, PREFILL)
        for position, (problem, expected) in enumerate(pairs)
    ]


def _gsm8k_pair(row: Mapping[str, object]) -> Pair:
    """The reference answer of GSM8K follows its worked solution after `####`."""
    question, answer = text_of(row, "question"), text_of(row, "answer")
    expected = answer.rsplit("####", 1)[-1].strip()
    if number_in(expected) is None:
        raise DataError(
            f'Column "answer" does not end in a single number: "{expected[:60]}".',
            remedy="Write one number after ####, such as #### 72 or #### 5/2.",
        )
    return question, expected


def _math_pair(row: Mapping[str, object]) -> Pair:
    return text_of(row, "problem"), text_of(row, "answer")
