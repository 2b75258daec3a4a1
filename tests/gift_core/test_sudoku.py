import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gift_core.errors import SpecError
from gift_core.statistics import wilson_interval
from gift_core.tasks import sudoku
from gift_core.tasks.sudoku import SudokuPuzzle

PUZZLE = SudokuPuzzle(clues="1002041000000020", solution="1342241342313124")


def solutions_by_search(clues: str) -> list[str]:
    """All solutions by backtracking: an oracle that shares nothing with the generator."""
    blank = clues.find("0")
    if blank < 0:
        return [clues]
    return [
        solution
        for digit in sorted(set("1234") - digits_beside(clues, blank))
        for solution in solutions_by_search(clues[:blank] + digit + clues[blank + 1 :])
    ]


def digits_beside(clues: str, cell: int) -> set[str]:
    """What stands in the row, the column and the box of a cell."""
    row, column = divmod(cell, 4)
    return {
        clues[other]
        for other in range(16)
        if other // 4 == row or other % 4 == column or (other // 8 == row // 2 and other % 4 // 2 == column // 2)
    } - {"0"}


def test_every_puzzle_has_exactly_one_solution_and_blanks_in_range() -> None:
    train, held_out = sudoku.generate_puzzles(400, 8, 11, seed=0, held_out=100)
    for puzzle in train + held_out:
        assert solutions_by_search(puzzle.clues) == [puzzle.solution]
        assert 8 <= puzzle.clues.count("0") <= 11


def test_blanks_are_uniform_over_the_range() -> None:
    train, _ = sudoku.generate_puzzles(4000, 8, 11, seed=0, held_out=0)
    blanks = Counter(puzzle.clues.count("0") for puzzle in train)
    assert sorted(blanks) == [8, 9, 10, 11]
    assert all(900 < count < 1100 for count in blanks.values())


def test_puzzles_are_distinct_and_held_out_ones_are_never_trained_on() -> None:
    # 4,400 of the 4,608 puzzles with one blank: drawn with replacement they would overlap.
    train, _ = sudoku.generate_puzzles(3600, 1, 1, seed=7, held_out=0)
    # What one seed holds out, no other learns from.
    _, held_out = sudoku.generate_puzzles(0, 1, 1, seed=8, held_out=800)
    assert len({*train, *held_out}) == 4400


def test_a_smaller_set_is_a_prefix_of_a_larger_one_and_held_out_puzzles_stay() -> None:
    small, held_out = sudoku.generate_puzzles(50, 6, 10, seed=3, held_out=20)
    large, same = sudoku.generate_puzzles(500, 6, 10, seed=3, held_out=20)
    unchanged, more = sudoku.generate_puzzles(50, 6, 10, seed=3, held_out=200)
    assert large[:50] == small == unchanged
    assert held_out == same == more[:20]


def test_the_seed_decides() -> None:
    first, again, other = (sudoku.generate_puzzles(50, 8, 11, seed, held_out=0)[0] for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("count", "low", "high", "held_out", "field"),
    [
        (4600, 1, 1, 100, "data.source.examples"),
        (100_000, 1, 12, 128, "data.source.examples"),
        (10, 13, 14, 0, "data.source.examples"),
        (10, 1, 1, 1000, "data.held_out"),
    ],
)
def test_asking_for_more_puzzles_than_exist_says_how_many_there_are(
    count: int, low: int, high: int, held_out: int, field: str
) -> None:
    with pytest.raises(SpecError, match=r"but only [0-9,]+ of those have exactly one solution") as caught:
        sudoku.generate_puzzles(count, low, high, seed=0, held_out=held_out)
    assert caught.value.problems[0].field == field
    assert caught.value.problems[0].remedy


def test_a_problem_asks_and_answers_in_four_rows_each() -> None:
    (problem,), _ = sudoku.generate(1, "standard", 0, 0)
    puzzle = sudoku.puzzle_from_prompt(problem.prompt)
    assert puzzle is not None
    grids = problem.prompt.removeprefix("Solve the sudoku.\n"), problem.answer
    assert [text.replace("\n", "") for text in grids] == [puzzle.clues, puzzle.solution]
    assert all([len(row) for row in text.split("\n")] == [4] * 4 for text in grids)


def test_the_reasoning_states_cells_of_the_solution_that_follow_from_the_clues() -> None:
    for problem in sudoku.generate(200, "standard", 0, 0)[0]:
        puzzle = sudoku.puzzle_from_prompt(problem.prompt)
        assert puzzle is not None
        clues = puzzle.clues
        stated = re.findall(r"r(\d)c(\d) is (\d)", problem.reasoning)
        assert 1 <= len(stated) <= sudoku.STATED_CELLS
        for row, column, digit in stated:
            cell = 4 * (int(row) - 1) + int(column) - 1
            assert puzzle.solution[cell] == digit
            assert clues[cell] == "0"
            assert digits_beside(clues, cell) == set("1234") - {digit}
            clues = clues[:cell] + digit + clues[cell + 1 :]


def test_a_puzzle_is_recognised_in_its_prompt() -> None:
    assert sudoku.puzzle_from_prompt(sudoku.prompt(PUZZLE)) == PUZZLE
    assert sudoku.puzzle_from_prompt(" 1002 | 0410 | 0000 | 0020 \n") == PUZZLE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "What is 2 + 2?",
        "Solve the sudoku.\n0000\n0000\n0000\n0000",  # many solutions
        "Solve the sudoku.\n1100\n0410\n0000\n0020",  # none
        "Solve the sudoku.\n1342\n2413\n4231\n3124",  # nothing to solve
        "Solve the sudoku.\n1002\n0410\n0000",
        "Solve the sudoku.\n1002\n0410\n0000\n0050",
        "Solve the sudoku.\n1002\n0410\n0000\n002٣",  # int() would take this digit
    ],
)
def test_other_prompts_are_no_puzzle(text: str) -> None:
    assert sudoku.puzzle_from_prompt(text) is None


def test_the_right_answer_scores_in_full() -> None:
    score = sudoku.score(PUZZLE, "1 3 4 2\n2|4|1|3\n\n4231\n3124 ")
    assert (score.solved, score.exact, score.cells) == (True, True, 1.0)


def test_a_valid_grid_that_changes_a_clue_is_not_solved() -> None:
    score = sudoku.score(PUZZLE, "2341\n1423\n4132\n3214")
    assert (score.solved, score.exact) == (False, False)


def test_one_wrong_cell_costs_one_blank() -> None:
    score = sudoku.score(PUZZLE, "1342\n2413\n4231\n3123")
    assert not score.solved
    assert score.cells == pytest.approx(10 / 11)


def test_a_fragment_scores_the_blanks_it_reaches() -> None:
    # The first two rows of the answer hold 4 of the 11 blanks.
    assert sudoku.score(PUZZLE, "1342\n2413").cells == pytest.approx(4 / 11)


@given(st.text(max_size=200))
def test_any_text_can_be_scored(text: str) -> None:
    score = sudoku.score(PUZZLE, text)
    assert 0 <= score.cells <= 1
    assert score.exact == score.solved == (sudoku.parse(text) == PUZZLE.solution)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", ["1" * 10**6, "| é" * 10**6, "\n" * 10**6 + "x"])
def test_a_very_long_answer_is_no_grid(text: str) -> None:
    assert sudoku.parse(text) is None
    assert not sudoku.score(PUZZLE, text).solved


def test_wilson_interval() -> None:
    # Newcombe (1998), Table I: 81 of 263 and 0 of 20.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(0, 0) == (0.0, 1.0)
    narrow, wide = wilson_interval(50, 100, 0.5), wilson_interval(50, 100, 0.99)
    assert wide[0] < narrow[0] < 0.5 < narrow[1] < wide[1]
