"""What is evaluated: lists that are always the same, and scores that follow from the texts alone."""

from __future__ import annotations

import re
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gift_core.errors import DataError, SpecError
from gift_core.tasks.countdown3 import asked_in
from gift_core.tasks.items import EvaluationTaskName, FileItems, GeneratedItems, Item, ItemSource, Score, fingerprint
from gift_core.tasks.registry import EVALUATION_TASKS, TASKS, judge
from tests.gift_core.test_answers import LONG, pieces

DATA = Path(__file__).parents[1] / "data"
# Public data beside the repository, where there is any: see its README.
SHARED = Path(__file__).parents[3] / "shared" / "data"
NAMES: tuple[EvaluationTaskName, ...] = get_args(EvaluationTaskName)
SAMPLES = {"gsm8k": DATA / "gsm8k_sample.jsonl", "math500": DATA / "math500_sample.jsonl"}
GENERATED = [name for name in NAMES if name not in SAMPLES]
BOXED = ("gsm8k", "math500", "countdown3")


@cache
def items_of(name: EvaluationTaskName) -> tuple[Item, ...]:
    source: ItemSource = FileItems(path=SAMPLES[name]) if name in SAMPLES else GeneratedItems(count=40)
    return tuple(EVALUATION_TASKS[name].items(source))


def response_to(name: EvaluationTaskName, item: Item, answer: str) -> str:
    written = rf"\boxed{{{answer}}}" if name in BOXED else answer
    return f"{item.prefill}because</reasoning>\n<answer>{written}</answer>"


def scored(name: EvaluationTaskName, answer: str) -> Score:
    return EVALUATION_TASKS[name].score(items_of(name)[0], f"<answer>{answer}</answer>")


@pytest.mark.parametrize("name", NAMES)
def test_every_reference_answer_is_solved_and_no_answer_is_not(name: EvaluationTaskName) -> None:
    task = EVALUATION_TASKS[name]
    assert (task.name, bool(task.title)) == (name, True)
    for item in items_of(name):
        right, none = task.score(item, response_to(name, item, item.expected)), task.score(item, item.prefill)
        assert (right.solved, right.text, none.solved) == (True, "solved", False)
        assert set(right.measures.values()) <= {1.0}
        assert right.measures.keys() == none.measures.keys()
        assert asdict(right)["answer"] == item.expected


@pytest.mark.parametrize("name", NAMES)
def test_a_list_is_made_again_to_the_letter(name: EvaluationTaskName) -> None:
    again: ItemSource = FileItems(path=SAMPLES[name]) if name in SAMPLES else GeneratedItems(count=50)
    items = EVALUATION_TASKS[name].items(again)[: len(items_of(name))]
    assert fingerprint(items) == fingerprint(items_of(name))
    assert len({item.id for item in items}) == len({item.prompt for item in items}) == len(items)


@pytest.mark.parametrize("name", GENERATED)
def test_another_seed_gives_other_items_under_other_ids(name: EvaluationTaskName) -> None:
    other = EVALUATION_TASKS[name].items(GeneratedItems(seed=1, count=40))
    assert {item.id for item in other}.isdisjoint(item.id for item in items_of(name))
    assert {item.prompt for item in other} != {item.prompt for item in items_of(name)}


@pytest.mark.parametrize("name", GENERATED)
def test_the_default_list_of_a_generated_task_has_256_items(name: EvaluationTaskName) -> None:
    task = EVALUATION_TASKS[name]
    assert len({item.prompt for item in task.items(task.default_source)}) == 256


@pytest.mark.parametrize(("name", "rows"), [("gsm8k", 1319), ("math500", 500)])
def test_all_reference_answers_of_the_benchmark_are_solved(name: EvaluationTaskName, rows: int) -> None:
    path = SHARED / f"{name}_test.jsonl"
    if not path.exists():
        pytest.skip(f"the public data is not beside the repository: no {path.name}")
    task = EVALUATION_TASKS[name]
    items = task.items(FileItems(path=path))
    assert len(items) == rows
    # Otherwise equal texts would decide, and not math-verify.
    answers = [rf"\displaystyle {item.expected}" if name == "math500" else item.expected for item in items]
    scores = [task.score(item, response_to(name, item, answer)) for item, answer in zip(items, answers, strict=True)]
    assert [item.id for item, score in zip(items, scores, strict=True) if not score.solved] == []
    shifted = [
        task.score(item, response_to(name, item, other)) for item, other in zip(items, answers[7:], strict=False)
    ]
    assert sum(score.solved for score in shifted) < 0.05 * rows


@pytest.mark.parametrize("name", list(TASKS))
def test_a_built_in_task_is_scored_as_it_is_judged_on_problems_that_nothing_learns_from(
    name: EvaluationTaskName,
) -> None:
    learned = {problem.prompt for problem in TASKS[name].generate(400, "standard", 0, 0)[0]}
    for item in items_of(name):
        assert item.prompt not in learned
        assert item.id.startswith(f"{name}/standard/0/")
        for answer in (item.expected, "1", ""):
            verdict = judge(item.prompt, f"<answer>{answer}</answer>")
            score = EVALUATION_TASKS[name].score(item, f"<answer>{answer}</answer>")
            assert verdict is not None
            assert (score.solved, score.text) == (verdict.solved, verdict.text)


def test_more_items_than_there_are_name_the_field() -> None:
    with pytest.raises(SpecError) as caught:
        EVALUATION_TASKS["countdown"].items(GeneratedItems(difficulty="easy", count=10_000))
    assert caught.value.problems[0].field == "source.count"


@pytest.mark.parametrize(
    ("answer", "solved", "text"),
    [
        (r"\boxed{18}", True, "solved"),
        (r"\boxed{\$18.00} dollars", True, "solved"),
        (r"\boxed{18} or \boxed{19}", True, "solved"),
        ("16 - 3 + 5 = 18", True, "solved"),
        (r"\boxed{19} or \boxed{18}", False, "19; the answer is 18"),
        (r"\boxed{1,800}", False, "1,800; the answer is 18"),
        (r"\boxed{18 or 19}", False, "18 or 19 is not a single number; the answer is 18"),
        (r"\boxed{18x}", False, "18x is not a single number; the answer is 18"),
        (r"\boxed{x}", False, "no answer; the answer is 18"),
        ("\u200b", False, "no answer; the answer is 18"),
        ("", False, "no answer; the answer is 18"),
    ],
)
def test_gsm8k_takes_the_first_box_with_a_number(answer: str, solved: bool, text: str) -> None:
    score = scored("gsm8k", answer)
    assert (score.solved, score.text) == (solved, text)


@pytest.mark.parametrize(
    ("answer", "solved", "alike"),
    [
        (r"\boxed{\left( 3, \frac{\pi}{2} \right)}", True, 1),
        (r"\boxed{(3,\frac{\pi}{2})}", True, 1),
        (r"\boxed{(3, \pi/2)}", True, 0),
        (r"\boxed{1} then \boxed{(6/2, 0.5\pi)}", True, 0),
        (r"(3, \frac{\pi}{2})", True, 1),
        (r"(3, \frac{\pi}{2}).", True, 1),
        (r"\boxed{(3, \pi)}", False, 0),
        (r"\boxed{(3, \pi/2)} then \boxed{1}", False, 0),
        (r"\boxed{}", False, 0),
    ],
)
def test_math500_takes_the_last_box_and_says_what_the_older_comparison_says(
    answer: str, solved: bool, alike: int
) -> None:
    score = scored("math500", answer)
    assert (score.solved, score.measures) == (solved, {"string_match": alike})


@pytest.mark.parametrize(
    ("reference", "answer", "solved"),
    [
        (r"137 \frac{1}{2}", "137.5", True),
        (r"137 \frac{1}{2}", "137 1/2", True),
        (r"137 \frac{1}{2}", r"\frac{137}{2}", False),
        ("2.5", "2½", True),
        ("10.5", r"2\frac{1}{2}", False),
        (r"-2\frac{1}{2}", "-2.5", True),
        ("25", "5^2", True),
        ("5", "5^2", False),
        ("70000", r"70\,000", True),
        ("70", r"70\,000", False),
        ("1000", "1e3", True),
        (r"\frac13", r"0.\overline{3}", True),
        (r"864 \mbox{ inches}^2", "864", True),
        (r"10\%", "10", True),
        ("(3,4]", "(3,4)", False),
        ("(3,4]", "[3,4]", False),
        ("3, 5, 7", "357", False),
        ("52_8", "52_{8}", True),
        ("52_8", "52_9", False),
        (r"\text{ellipse}", "ellipse.", True),
        (r"\text{ellipse}", r"\textbf{an ellipse}", False),
        ("no { formula", "no { formula", True),
        (r"\text{ east}", r"\text{ east}", True),
        (r"\text{ east}", r"\text{ west}", False),
        ("5", "\u200b", False),
        ("\\frac{1}{2}", r"**\frac{1}{2}**", True),
        ("\\frac{1}{2}", r"`\frac{1}{2}`.", True),
    ],
)
def test_math500_reads_numbers_bases_and_texts_before_math_verify(reference: str, answer: str, solved: bool) -> None:
    item = Item("math500/0", "", reference)
    score = EVALUATION_TASKS["math500"].score
    assert score(item, f"<answer>{answer}</answer>").solved == solved
    assert score(Item("math500/0", "", answer), f"<answer>{reference}</answer>").solved == (solved and bool(answer))


def test_a_text_that_is_all_unit_is_not_alike_another() -> None:
    """The older comparison leaves nothing of either."""
    score = EVALUATION_TASKS["math500"].score(Item("math500/0", "", r"\text{ east}"), r"\boxed{\text{ west}}")
    assert score.measures == {"string_match": 0}


def test_countdown3_items_are_those_of_the_field() -> None:
    for item in items_of("countdown3"):
        *numbers, target = asked_in(item.prompt)
        assert all(1 <= number <= 99 for number in numbers)
        assert 10 <= target <= 99
    assert any(sign in item.expected for item in items_of("countdown3") for sign in "*/")


def countdown_file(folder: Path, text: str) -> list[Item]:
    path = folder / "problems.jsonl"
    path.write_text(text, "utf-8")
    return EVALUATION_TASKS["countdown3"].items(FileItems(path=path))


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (r"\boxed{(8 - 5) \times 4}", "solved"),
        (r"\boxed{4 \cdot (8 - 5) = 12}", "solved"),
        (r"\boxed{\left(8-5\right)*4}", "solved"),
        ("(8 - 5) * 4", "solved"),
        (r"\boxed{\frac{8}{5} \times 4}", "makes 32/5, not 12"),
        (r"\boxed{8 \div (5 - 4)}", "makes 8, not 12"),
        (r"\boxed{8 + 4}", "does not use each number once"),
        (r"\boxed{9**9**9}", "no expression"),
        (r"\boxed{}", "no expression"),
    ],
)
def test_countdown3_reads_latex_as_arithmetic(tmp_path: Path, answer: str, text: str) -> None:
    item = countdown_file(tmp_path, '{"nums": [4, 5, 8], "target": 12}')[0]
    assert EVALUATION_TASKS["countdown3"].score(item, f"<answer>{answer}</answer>").text == text


def test_countdown3_reads_both_layouts_of_the_field_and_names_what_it_cannot_use(tmp_path: Path) -> None:
    lists = [
        countdown_file(tmp_path, row)
        for row in ('{"nums": [4, 5, 8], "target": 12}', '{"input": "4,5,8", "output": "12"}')
    ]
    assert fingerprint(lists[0]) == fingerprint(lists[1])
    assert lists[0][0].expected == "4*(8-5)"
    rows = ['{"nums": [1, 1, 1], "target": 50}', '{"nums": [1, 2], "target": 3}', '{"nums": ["x"], "target": 3}', "{}"]
    with pytest.raises(DataError) as caught:
        countdown_file(tmp_path, "\n".join(rows))
    assert [problem.field for problem in caught.value.problems] == ["row 1", "row 2", "row 3", "row 4"]


# The right half is blank: its two columns can be exchanged, so there are two solutions.
CLUES, SOLUTION, OTHER = "1200340021004300", "1234341221434321", "1243342121344312"


def sudoku_file(folder: Path, text: str) -> list[Item]:
    path = folder / "puzzles.csv"
    path.write_text(f"Puzzle,Solution\n{text}\n", "utf-8")
    return EVALUATION_TASKS["sudoku4x4"].items(FileItems(path=path))


@pytest.mark.parametrize(
    ("answer", "solved", "exact", "cells"),
    [
        (SOLUTION, True, 1, 1.0),
        (OTHER, True, 0, 0.0),
        (rf"\boxed{{{SOLUTION}}}", True, 1, 1.0),
        ("1234\n3412\n2143\n4321", True, 1, 1.0),
        ("```\n1234\n3412\n2143\n4321\n```", True, 1, 1.0),
        (f"**{SOLUTION}**.", True, 1, 1.0),
        (r"\(1234 \\ 3412 \\ 2143 \\ 4321\)", True, 1, 1.0),
        (f"{SOLUTION[:8]}\u200b{SOLUTION[8:]}", True, 1, 1.0),
        (SOLUTION[:8], False, 0, 0.5),
        (f"{SOLUTION[:-1]}4", False, 0, 7 / 8),
        ("", False, 0, 0.0),
        ("2" + SOLUTION[1:], False, 0, 1.0),
    ],
)
def test_sudoku4x4_counts_any_valid_grid_and_gives_credit_for_parts(
    tmp_path: Path, answer: str, solved: bool, exact: int, cells: float
) -> None:
    item = sudoku_file(tmp_path, f"{CLUES},{SOLUTION}")[0]
    score = EVALUATION_TASKS["sudoku4x4"].score(item, f"<answer>{answer}</answer>")
    assert (score.solved, score.measures) == (solved, {"exact": exact, "cells": cells})


def test_sudoku4x4_finds_sixteen_digits_where_there_are_no_tags(tmp_path: Path) -> None:
    item = sudoku_file(tmp_path, f"{CLUES},{SOLUTION}")[0]
    score = EVALUATION_TASKS["sudoku4x4"].score
    assert score(item, f"r1c3 is 3, so {SOLUTION}.").measures["exact"] == 1
    assert score(item, f"{OTHER} no, \\boxed{{{SOLUTION}}}").measures["exact"] == 1
    assert score(item, f"r1c3 is 3, so {SOLUTION}1").measures["cells"] == 0
    # The digits of a decimal are no grid.
    assert score(item, f"r1c3 is 3, so 0.{SOLUTION}").measures["cells"] == 0


def test_sudoku4x4_names_puzzles_it_cannot_use(tmp_path: Path) -> None:
    rows = [f"{CLUES},{OTHER[::-1]}", f"{CLUES}1,{SOLUTION}", f"{SOLUTION},{SOLUTION}", f"{CLUES},"]
    with pytest.raises(DataError) as caught:
        sudoku_file(tmp_path, "\n".join(rows))
    assert [problem.field for problem in caught.value.problems] == ["row 1", "row 2", "row 3", "row 4"]


def test_zeros_that_a_spreadsheet_dropped_are_put_back(tmp_path: Path) -> None:
    clues = "0034341221434321"
    assert sudoku_file(tmp_path, f"{int(clues)},{SOLUTION}")[0].prompt.endswith(f"\n{clues}")


@pytest.mark.timeout(60)
@given(st.text(max_size=60) | pieces([*"{}\\$1^/ =", "<answer>", "</answer>", r"\boxed{"]))
@example("")
def test_any_response_has_a_score(response: str) -> None:
    for name in NAMES:
        # math-verify has tests of its own: here it would be asked a hundred times.
        if name != "math500":
            score = EVALUATION_TASKS[name].score(items_of(name)[0], response)
            assert score.text
            assert all(0 <= value <= 1 for value in score.measures.values())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("response", LONG, ids=range(len(LONG)))
def test_a_response_without_end_has_a_score_too(response: str) -> None:
    for name in NAMES:
        score = EVALUATION_TASKS[name].score(items_of(name)[0], response)
        assert not score.solved
        assert len(score.answer) <= 200


def test_prompts_show_the_form_and_hold_no_box_that_would_be_read_as_an_answer() -> None:
    for name in BOXED:
        assert re.search(r"<reasoning>.*</reasoning><answer>\\boxed\{your answer\}</answer>", items_of(name)[0].prompt)
