"""4x4 Sudoku: generate puzzles with exactly one solution, render them, parse and score answers.

The space is small enough to know completely: 288 solved grids, 2**16 ways to blank cells of each. So whether
a solution is unique is looked up, not searched for, and a data set is a seeded draw from *all* such puzzles.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice, permutations, product

import numpy as np
from numpy.typing import NDArray

from gift_core.data_spec import Difficulty
from gift_core.errors import SpecError
from gift_core.tasks.task import Problem, Verdict, answer_in
from gift_core.tasks.wording import chain

name = "sudoku"
title = "Sudoku 4x4"
levels: Mapping[Difficulty, str] = {"easy": "2 to 6 blanks", "standard": "8 to 11 blanks", "hard": "10 to 12 blanks"}

_BLANKS: Mapping[Difficulty, tuple[int, int]] = {"easy": (2, 6), "standard": (8, 11), "hard": (10, 12)}
INSTRUCTION = "Solve the sudoku."
CELLS = 16
# The rest goes without saying: a response is to stay short.
STATED_CELLS = 2
_UNITS = (
    *(tuple(range(4 * row, 4 * row + 4)) for row in range(4)),
    *(tuple(range(column, CELLS, 4)) for column in range(4)),
    *((corner, corner + 1, corner + 4, corner + 5) for corner in (0, 2, 8, 10)),
)
# Lines, lists, and marks of code, emphasis and LaTeX.
_SEPARATORS = re.compile(r"[\s|,;:+_\-─│┼.`*$&\\{}()\[\]]")
# Keys of the independent random streams.
_ORDER, _TRAIN, _HELD_OUT = 1, 2, 3
# One in so many puzzles is never learned from.
_SIDES = 5


@dataclass(frozen=True)
class SudokuPuzzle:
    """Both grids are 16 digits in reading order; in `clues` 0 is a blank, and there is at least one."""

    clues: str
    solution: str


@dataclass(frozen=True)
class SudokuScore:
    """`solved`: a valid grid that keeps the clues; `exact`: the solution; `cells`: share of blanks right."""

    solved: bool
    exact: bool
    cells: float


def generate(count: int, difficulty: Difficulty, seed: int, held_out: int) -> tuple[list[Problem], list[Problem]]:
    training, others = generate_puzzles(count, *_BLANKS[difficulty], seed, held_out)
    return [_problem(puzzle) for puzzle in training], [_problem(puzzle) for puzzle in others]


def judge(prompt: str, response: str) -> Verdict | None:
    puzzle = puzzle_from_prompt(prompt)
    if puzzle is None:
        return None
    result = score(puzzle, answer_in(response))
    blanks = puzzle.clues.count("0")
    return Verdict(
        result.solved, "solved" if result.solved else f"{round(result.cells * blanks)} of {blanks} blanks right"
    )


def generate_puzzles(
    count: int, min_blanks: int, max_blanks: int, seed: int, held_out: int
) -> tuple[list[SudokuPuzzle], list[SudokuPuzzle]]:
    """`count` training and `held_out` other puzzles, all distinct, with blanks uniform over the range.

    Asking for more of either only appends to it and leaves the other as it was. Raises `SpecError` when there
    are not that many puzzles.
    """
    unique = _uniquely_solvable()
    train_blanks = _rng(seed, _TRAIN).integers(min_blanks, max_blanks, size=count, endpoint=True)
    held_out_blanks = _rng(seed, _HELD_OUT).integers(min_blanks, max_blanks, size=held_out, endpoint=True)
    train: dict[int, SudokuPuzzle] = {}
    test: dict[int, SudokuPuzzle] = {}
    for blanks in range(min_blanks, max_blanks + 1):
        pool = _puzzles_with(unique, blanks)
        order = _rng(seed, _ORDER, blanks).permutation(len(pool))
        wanted_of = np.flatnonzero(train_blanks == blanks), np.flatnonzero(held_out_blanks == blanks)
        first = _first_of_each_side(pool, order, *map(len, wanted_of))
        for drawn, wanted, puzzles in zip((train, test), wanted_of, first, strict=True):
            if len(wanted) > len(puzzles):
                raise _too_few(drawn is test, blanks, len(wanted), len(puzzles))
            drawn |= zip(wanted.tolist(), _puzzles(puzzles[: len(wanted)]), strict=True)
    return [train[i] for i in range(count)], [test[i] for i in range(held_out)]


def prompt(puzzle: SudokuPuzzle) -> str:
    return f"{INSTRUCTION}\n{_rows(puzzle.clues)}"


def reasoning(puzzle: SudokuPuzzle) -> str:
    """The first cells that follow from the clues, in words that the puzzle itself decides."""
    rng = random.Random(puzzle.clues)
    return chain(rng, [_statement(*found) for found in islice(_deductions(puzzle.clues), STATED_CELLS)])


def _problem(puzzle: SudokuPuzzle) -> Problem:
    return Problem(
        prompt=prompt(puzzle),
        reasoning=reasoning(puzzle),
        answer=_rows(puzzle.solution),
        title=f"{puzzle.clues.count('0')} blanks",
    )


def _statement(cell: int, digit: str) -> str:
    return f"r{cell // 4 + 1}c{cell % 4 + 1} is {digit}"


def _deductions(clues: str) -> Iterator[tuple[int, str]]:
    """Cell and digit of each blank that only one digit fits, in the order in which they come to fit."""
    while "0" in clues:
        for cell in (cell for cell, clue in enumerate(clues) if clue == "0"):
            left = {"1", "2", "3", "4"} - {clues[other] for unit in _UNITS if cell in unit for other in unit}
            if len(left) == 1:
                digit = left.pop()
                yield cell, digit
                clues = clues[:cell] + digit + clues[cell + 1 :]
                break
        else:
            return


def parse(text: str) -> str | None:
    """The grid as 16 digits when the text is a full grid of 1 to 4 and separators, otherwise None."""
    digits = _SEPARATORS.sub("", text)
    return digits if re.fullmatch("[1-4]{16}", digits) else None


def score(puzzle: SudokuPuzzle, text: str) -> SudokuScore:
    """Judge an answer. `cells` reads the first 16 digits whatever surrounds them: fragments count there."""
    grid = parse(text)
    digits = re.sub("[^0-9]", "", text)[:CELLS].ljust(CELLS, "0")
    blanks = [cell for cell, clue in enumerate(puzzle.clues) if clue == "0"]
    right = sum(digits[cell] == puzzle.solution[cell] for cell in blanks)
    return SudokuScore(
        solved=grid is not None and _is_solved(grid) and _agrees(puzzle.clues, grid),
        exact=grid == puzzle.solution,
        cells=right / len(blanks),
    )


def puzzle_from_prompt(text: str) -> SudokuPuzzle | None:
    """The puzzle in a prompt, solved; None unless it is a Sudoku with blanks and exactly one solution."""
    clues = _SEPARATORS.sub("", text.strip().removeprefix(INSTRUCTION))
    if not re.fullmatch("[0-4]{16}", clues) or "0" not in clues:
        return None
    solutions = [grid for grid in _solved_grids() if _agrees(clues, grid)]
    return SudokuPuzzle(clues, solutions[0]) if len(solutions) == 1 else None


def _rows(grid: str) -> str:
    return "\n".join(grid[start : start + 4] for start in range(0, CELLS, 4))


def _is_solved(grid: str) -> bool:
    return all(len({grid[cell] for cell in unit}) == 4 for unit in _UNITS)


def _agrees(clues: str, grid: str) -> bool:
    return all(clue in ("0", digit) for clue, digit in zip(clues, grid, strict=True))


@cache
def _solved_grids() -> tuple[str, ...]:
    """All 288 of them, in lexicographic order."""
    rows = ["".join(row) for row in permutations("1234")]
    bands = [a + b for a, b in product(rows, repeat=2) if len({*a[:2], *b[:2]}) == len({*a[2:], *b[2:]}) == 4]
    return tuple(top + bottom for top, bottom in product(bands, repeat=2) if _is_solved(top + bottom))


def _uniquely_solvable() -> NDArray[np.bool_]:
    """[288, 2**16]: whether grid g is the only solution once the cells of bit mask b are blank.

    It is not when b contains every cell in which g differs from some other grid. Those differences are marked
    first; then each of the 16 bits carries the mark from masks without the bit to the same masks with it.
    """
    grids = np.array([list(grid) for grid in _solved_grids()])
    differences = (grids[:, None] != grids[None]) @ (1 << np.arange(CELLS))
    ambiguous = np.zeros((len(grids), 1 << CELLS), dtype=np.bool_)
    ambiguous[np.arange(len(grids))[:, None], differences] = True
    ambiguous[:, 0] = False  # A grid's difference from itself.
    for bit in range(CELLS):
        halves = ambiguous.reshape(len(grids), -1, 2, 1 << bit)
        halves[:, :, 1] |= halves[:, :, 0]
    return ~ambiguous


def _blanks_of_masks() -> NDArray[np.uint8]:
    """[2**16]: how many cells each mask blanks."""
    return np.bitwise_count(np.arange(1 << CELLS))


def _puzzles_with(unique: NDArray[np.bool_], blanks: int) -> NDArray[np.int64]:
    """[puzzles, 2]: grid and blank mask of every uniquely solvable puzzle with that many blanks."""
    masks = np.flatnonzero(_blanks_of_masks() == blanks)
    grid, mask = np.nonzero(unique[:, masks])
    return np.stack([grid, masks[mask]], axis=1)


def _puzzles(pairs: NDArray[np.int64]) -> Iterator[SudokuPuzzle]:
    """Puzzles from [n, 2] of grid and blank mask."""
    grids = _solved_grids()
    for grid, mask in pairs.tolist():
        solution = grids[grid]
        clues = "".join("0" if mask >> cell & 1 else digit for cell, digit in enumerate(solution))
        yield SudokuPuzzle(clues, solution)


def _is_held_out(pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which puzzles, [n, 2] of grid and blank mask, no seed and no run learns from; decided by the puzzle alone."""
    # splitmix64's finaliser: neighbouring masks must not all fall on one side.
    mixed = (pairs[:, 0] << CELLS | pairs[:, 1]).astype(np.uint64)
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return (mixed ^ mixed >> np.uint64(31)) % np.uint64(_SIDES) == 0


def _first_of_each_side(
    pool: NDArray[np.int64], order: NDArray[np.int64], training: int, held_out: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """At least so many puzzles of each side, in that order, if there are as many; there are millions to look at."""
    size = 2 * (training + _SIDES * held_out)
    while True:
        found = pool[order[:size]]
        held_out_side = _is_held_out(found)
        sides = found[~held_out_side], found[held_out_side]
        if size >= len(pool) or (len(sides[0]) >= training and len(sides[1]) >= held_out):
            return sides
        size *= 2


def _rng(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(key))


def _too_few(held_out: bool, blanks: int, wanted: int, available: int) -> SpecError:
    return SpecError(
        f"{wanted:,} {'held-out' if held_out else 'training'} puzzles with {blanks} blanks were asked for, but only "
        f"{available:,} of those have exactly one solution.",
        field="data.held_out" if held_out else "data.source.examples",
        remedy="Ask for fewer puzzles, or for another difficulty.",
    )
