"""The built-in tasks: problems that can be solved, and verdicts that follow from the texts alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from operator import add, mul, sub, truediv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gift_core.data_spec import DataSpec, Difficulty, TaskName, TaskSource
from gift_core.errors import SpecError
from gift_core.models.catalogue import find_model
from gift_core.models.loading import load_tokenizer
from gift_core.spec import SamplingSpec
from gift_core.tasks import countdown
from gift_core.tasks.expressions import numbers_in, parse_expression, value_of
from gift_core.tasks.registry import TASKS, judge
from gift_core.tasks.task import Problem, Task, answer_in

EVERY = [(name, level) for name, task in TASKS.items() for level in task.levels]
# An expression as text, and its value.
Valued = tuple[str, Fraction | None]
PROMPTS = {name: task.generate(0, "easy", 0, 1)[1][0].prompt for name, task in TASKS.items()}
STATEMENT = re.compile(r"(\d+)([-+*/])(\d+)=(\d+)")


def problems(name: TaskName, level: Difficulty, count: int = 150) -> list[Problem]:
    training, held_out = TASKS[name].generate(count, level, 3, count // 5)
    return training + held_out


@pytest.mark.parametrize(("name", "level"), EVERY)
def test_the_reference_response_solves_its_problem_and_no_other_task_claims_it(
    name: TaskName, level: Difficulty
) -> None:
    for problem in problems(name, level):
        found = [task.judge(problem.prompt, problem.response) for task in TASKS.values()]
        assert [verdict.text for verdict in found if verdict] == ["solved"]
        wrong = judge(problem.prompt, problem.response.replace(problem.answer, "999"))
        assert wrong is not None
        assert not wrong.solved


@pytest.mark.parametrize(("name", "level"), EVERY)
def test_a_response_has_the_form_that_the_tiny_base_learned_and_fits_its_window(
    name: TaskName, level: Difficulty
) -> None:
    tokenizer = load_tokenizer(str(find_model("tiny")))
    for problem in problems(name, level):
        assert re.fullmatch(r"<reasoning>[^<]+</reasoning><answer>[^<]+</answer>", problem.response)
        assert len(tokenizer.encode(problem.response, add_special_tokens=False)) < SamplingSpec().length


@pytest.mark.parametrize("name", ["countdown", "word_problems", "algebra"])
def test_every_statement_in_the_reasoning_is_true(name: TaskName) -> None:
    for problem in problems(name, "hard"):
        statements = STATEMENT.findall(problem.reasoning)
        assert statements
        for left, symbol, right, result in statements:
            tree = parse_expression(f"{left} {symbol} {right}")
            assert tree is not None
            assert value_of(tree) == int(result)


@pytest.mark.parametrize("name", list(TASKS))
def test_wording_varies(name: TaskName) -> None:
    first_words = {problem.reasoning.split()[0] for problem in problems(name, "standard")}
    assert len(first_words) >= 5


@pytest.mark.parametrize("name", ["countdown", "word_problems", "algebra"])
def test_what_one_seed_holds_out_no_other_seed_learns_from(name: TaskName) -> None:
    learned = {problem.prompt for seed in (0, 1) for problem in TASKS[name].generate(800, "standard", seed, 0)[0]}
    held_out = {problem.prompt for problem in TASKS[name].generate(0, "standard", 2, 300)[1]}
    assert len(held_out) == 300
    assert learned.isdisjoint(held_out)


def asked(problem: Problem) -> tuple[str, ...]:
    """The numbers of a Countdown, in order, and its target."""
    *numbers, target = re.findall(r"\d+", problem.prompt)
    return (*sorted(numbers), target)


def test_held_out_numbers_are_not_learned_from_in_another_order() -> None:
    learned = {asked(problem) for seed in (0, 1) for problem in countdown.generate(800, "standard", seed, 0)[0]}
    held_out = {asked(problem) for problem in countdown.generate(0, "standard", 2, 300)[1]}
    assert learned.isdisjoint(held_out)


@pytest.mark.parametrize("level", list(countdown.levels))
def test_the_same_numbers_are_always_combined_in_the_same_way(level: Difficulty) -> None:
    problems = countdown.generate(800, level, 0, 0)[0]
    answers = {asked(problem): problem.answer for problem in problems}
    assert len(answers) < len(problems), "some come in several orders"
    assert all(answers[asked(problem)] == problem.answer for problem in problems)


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_a_smaller_set_is_a_prefix_of_a_larger_one(task: Task) -> None:
    small, few = task.generate(20, "standard", 5, 5)
    large, more = task.generate(60, "standard", 5, 15)
    assert (large[:20], more[:5]) == (small, few)
    assert task.generate(20, "standard", 6, 0)[0] != small


@pytest.mark.parametrize(("name", "level"), EVERY)
def test_every_level_has_as_many_problems_as_a_run_asks_for_by_default(name: TaskName, level: Difficulty) -> None:
    default = DataSpec()
    assert isinstance(default.source, TaskSource)
    training, held_out = TASKS[name].generate(default.source.examples, level, 0, default.held_out)
    assert len({problem.prompt for problem in training + held_out}) == default.source.examples + default.held_out


def test_more_problems_than_there_are_name_the_field() -> None:
    with pytest.raises(SpecError, match="hardly more than") as caught:
        countdown.generate(0, "easy", 0, 100_000)
    assert caught.value.problems[0].field == "data.held_out"
    assert caught.value.problems[0].remedy


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("(8 - 5) * 4", "solved"),
        ("4 * (8 - 5) = 12", "solved"),
        ("4 × (8 − 5)", "solved"),
        ("8 + 4", "does not use each number once"),
        ("4 + 4 + 4", "does not use each number once"),
        ("8 - 5 + 4", "makes 7, not 12"),
        ("12", "does not use each number once"),
        ("8 / (5 - 5) * 4", "does not use each number once"),
        ("4 ** 8", "no expression"),
        ("__import__('os')", "no expression"),
        ("4 if 5 else 8", "no expression"),
        ("", "no expression"),
        ("(" * 5000, "no expression"),
        ("9" * 100_000, "no expression"),
    ],
)
def test_countdown_answers_are_judged_as_arithmetic_only(answer: str, text: str) -> None:
    verdict = countdown.judge("Use 4, 5 and 8 to make 12.", f"<answer>{answer}</answer>")
    assert verdict is not None
    assert verdict.text == text


def test_a_story_that_a_visitor_changed_is_judged_by_what_it_says_now() -> None:
    prompt = "Nadia has 9 apples. Nadia buys 3 apples. Every 4 make one. How many apples are left?"
    assert judge(prompt, "<answer>3</answer>") == judge(prompt, "so there are 3")
    verdict = TASKS["word_problems"].judge(prompt, "<answer>4</answer>")
    assert verdict is not None
    assert verdict.text == "4; the answer is 3"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("3", "solved"),
        ("3.0", "solved"),
        ("6/2", "solved"),
        (r"\boxed{3}", "solved"),
        ("**3** apples", "solved"),
        ("9+3=12, then 12/4=3", "no single number; the answer is 3"),
        ("1/3", "1/3; the answer is 3"),
        ("12.3", "12.3; the answer is 3"),
        ("5^3", "5^3; the answer is 3"),
        ("2 or 3", "no single number; the answer is 3"),
        ("x3", "no single number; the answer is 3"),
        ("\u200b", "no number; the answer is 3"),
    ],
)
def test_a_story_is_answered_with_one_number(answer: str, text: str) -> None:
    prompt = "Nadia has 9 apples. Nadia buys 3 apples. Every 4 make one. How many apples are left?"
    verdict = judge(prompt, f"<answer>{answer}</answer>")
    assert verdict is not None
    assert verdict.text == text


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "What is 2 + 2?",
        "Mia has 9 apples. Mia eats 3 apples. How many apples are left?",
        "Mia has 7 apples. Every 2 make one. How many apples are left?",
        "Use 1, 2 and 3 to make.",
        "Compute 3 / 2.",
        "Compute 3 / 0.",
        "Solve x - x = 0 for x.",
        "Solve y + 1 = 2 for x.",
    ],
)
def test_a_prompt_without_a_problem_gets_no_verdict(prompt: str) -> None:
    assert judge(prompt, "<answer>1</answer>") is None


def test_the_last_answer_counts_and_an_unfinished_one_too() -> None:
    assert answer_in("<answer>1</answer> no: <answer> 2 </answer>") == "2"
    assert answer_in("<reasoning>so</reasoning><answer>3") == "3"
    assert answer_in("just 4") == "just 4"


@pytest.mark.timeout(60)
@given(st.text(max_size=300))
def test_any_text_can_be_judged(text: str) -> None:
    for name, task in TASKS.items():
        assert task.judge(text, text) is None
        verdict = task.judge(PROMPTS[name], text)
        assert verdict is not None
        assert verdict.text


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", ["1" * 10**6, "<answer>" * 10**5, "1 + " * 10**5, "-" * 10**6])
def test_a_very_long_answer_takes_no_time(text: str) -> None:
    for prompt in ("Use 4, 5 and 8 to make 12.", "Compute 3 + 4.", "Solve x + 1 = 3 for x."):
        verdict = judge(prompt, text)
        assert verdict is not None
        assert not verdict.solved


COMPUTED: dict[str, Callable[[Fraction, Fraction], Fraction]] = {"+": add, "-": sub, "*": mul, "/": truediv}


def joined(left: Valued, symbol: str, right: Valued) -> Valued:
    """Two expressions as one, with the value that exact arithmetic gives; None where it divides by zero."""
    known = left[1] is not None and right[1] is not None and not (symbol == "/" and right[1] == 0)
    return f"({left[0]} {symbol} {right[0]})", COMPUTED[symbol](left[1], right[1]) if known else None


@given(
    st.recursive(
        st.integers(0, 20).map(lambda number: (str(number), Fraction(number))),
        lambda inner: st.builds(joined, inner, st.sampled_from("+-*/"), inner),
        max_leaves=6,
    )
)
def test_expressions_have_the_value_that_exact_arithmetic_gives(expression: Valued) -> None:
    text, value = expression
    tree = parse_expression(text)
    assert tree is not None
    assert numbers_in(tree) == sorted(map(int, re.findall(r"\d+", text)))
    assert value_of(tree) == value
