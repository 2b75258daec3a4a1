"""Equal answers by math-verify, and answers that would take it down."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gift_core.bounded import process as bounded
from gift_core.errors import GiftError
from gift_core.tasks.equivalence import Equivalence


@pytest.fixture(scope="module")
def compare() -> Equivalence:
    return Equivalence()


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        (r"\frac12", "0.5"),
        (r"2\sqrt{2}", r"\sqrt{8}"),
        ("6-5i", "-5i + 6"),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3, \pi/2)"),
        (r"\text{Evelyn}", "Evelyn"),
        ("x^2-1", "(x-1)(x+1)"),
        ("5", r"5\text{ cm}"),
        ("1,-2", "-2,1"),
    ],
)
def test_equal_answers_are_equal_however_written(compare: Equivalence, reference: str, answer: str) -> None:
    assert compare.equal(reference, answer)


@pytest.mark.parametrize(
    ("reference", "answer"), [("(1,2)", "(2,1)"), ("5", "6"), ("x", "y"), ("5", ""), ("5", "\ud800")]
)
def test_other_answers_are_not(compare: Equivalence, reference: str, answer: str) -> None:
    assert not compare.equal(reference, answer)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("answer", [r"9^{9^{9}}", r"((9!)!)!"])
def test_what_never_ends_is_not_equal_and_the_next_comparison_is_made(compare: Equivalence, answer: str) -> None:
    assert not compare.equal("18", answer)
    assert compare.equal("18", "18.0")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("answer", ["9**9**9", "(" * 999, "1," * 499, "9" * 999, "\x00\n", "$", r"\boxed{", "}"])
def test_what_cannot_be_parsed_is_not_equal(compare: Equivalence, answer: str) -> None:
    assert not compare.equal("18", answer)


def test_an_answer_is_never_run(compare: Equivalence, tmp_path: Path) -> None:
    target = tmp_path / "made"
    for answer in (f"__import__('pathlib').Path('{target}').touch()", rf"\text{{open('{target}', 'w')}}"):
        assert not compare.equal("18", answer)
    assert not target.exists()


def test_threads_get_the_answers_to_their_own_questions(compare: Equivalence) -> None:
    with ThreadPoolExecutor(4) as pool:
        verdicts = list(pool.map(lambda i: compare.equal(str(i % 3), f"{i}/1"), range(60)))
    assert verdicts == [i < 3 for i in range(60)]


def test_an_interrupted_comparison_does_not_answer_the_next_one(
    compare: Equivalence, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = bounded._line

    def interrupted(process: bounded.Process) -> str:
        monkeypatch.setattr(bounded, "_line", real)
        raise KeyboardInterrupt

    assert compare.equal("1", "1.0")
    monkeypatch.setattr(bounded, "_line", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compare.equal("1", "1.0")
    assert not compare.equal("1", "2")


def test_a_process_that_died_between_comparisons_costs_no_answer(compare: Equivalence) -> None:
    assert compare.equal("1", "1.0")
    process = compare._process._process
    assert process
    process.kill()
    process.wait()
    assert compare.equal("1", "1.0")


def test_a_process_that_does_not_start_says_what_to_install(tmp_path: Path) -> None:
    broken = tmp_path / "worker.py"
    broken.write_text("import no_such_module")
    compare = Equivalence()
    compare._process = bounded.BoundedProcess(broken)
    with pytest.raises(GiftError, match="pip install math-verify"):
        compare.equal("1", "2")


def test_every_reference_answer_of_the_sample_equals_itself(compare: Equivalence) -> None:
    rows = (Path(__file__).parents[1] / "data" / "math500_sample.jsonl").read_text("utf-8").splitlines()
    answers = [json.loads(row)["answer"] for row in rows]
    assert all(compare.equal(answer, answer) for answer in answers)
    # A space more, so that they are not the same text.
    assert not any(compare.equal(answer, f"{answer}+1000") for answer in answers if "," not in answer)
