"""4x4 Sudoku as the field evaluates it: sixteen digits in, sixteen digits out, and credit for parts of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gift_core.errors import DataError
from gift_core.tasks import sudoku
from gift_core.tasks.answers import boxes, tagged
from gift_core.tasks.benchmarks import PREFILL
from gift_core.tasks.item_rows import read_file, text_of
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
from gift_core.tasks.numbers import LONGEST
from gift_core.tasks.sudoku import SudokuPuzzle

_BLANKS = 8, 12
_PROMPT = """Solve the 4x4 sudoku: each row, each column and each 2x2 block holds 1, 2, 3 and 4 once. It is written as \
16 digits, row by row, with 0 for a blank. The answer is the solved grid as 16 digits. Respond in this form:
<reasoning>your reasoning</reasoning><answer>the 16 digits</answer>

"""
_CLUES = re.compile(r"^[0-4]{16}$", re.MULTILINE)
_GRID = re.compile(r"(?<![\d.,])\d{16}(?![.,]?\d)", re.ASCII)


@dataclass(frozen=True)
class Sudoku4x4:
    name: EvaluationTaskName = "sudoku4x4"
    title: str = "Sudoku 4x4"
    default_source: ItemSource = GENERATED

    def items(self, source: ItemSource) -> list[Item]:
        match source:
            case GeneratedItems():
                source = with_one_level(self.name, source)
                _, puzzles = sudoku.generate_puzzles(0, *_BLANKS, source.seed, source.count)
                return [self._item(f"{source.seed}/{index}", puzzle) for index, puzzle in enumerate(puzzles)]
            case FileItems():
                return [self._item(f"{position}", puzzle) for position, puzzle in enumerate(read_file(source, _row))]
        raise no_source(self.name, source, "Generate them, or choose a file.")

    def score(self, item: Item, response: str) -> Score:
        clues = _CLUES.findall(item.prompt)[-1]
        return scored_grid(SudokuPuzzle(clues, item.expected), grid_answer(response))

    def _item(self, place: str, puzzle: SudokuPuzzle) -> Item:
        return Item(f"{self.name}/{place}", _PROMPT + puzzle.clues, puzzle.solution, PREFILL)


def grid_answer(response: str) -> str:
    """The text in the answer tags, or a box in it; else the last box; else the last sixteen digits in a row."""
    answer = tagged(response)
    if answer is not None:
        return (boxes(answer) or [answer])[-1][:LONGEST]
    found = boxes(response) or _GRID.findall(response)
    return found[-1] if found else ""


def scored_grid(puzzle: SudokuPuzzle, answer: str) -> Score:
    """`solved` by any valid grid that keeps the clues; `exact` is the reference, `cells` the share of blanks right."""
    result = sudoku.score(puzzle, answer)
    measures = {"exact": float(result.exact), "cells": result.cells}
    blanks = puzzle.clues.count("0")
    text = "solved" if result.solved else f"{round(result.cells * blanks)} of {blanks} blanks right"
    return Score(result.solved, shown(answer), text, measures)


def _row(row: Mapping[str, object]) -> SudokuPuzzle:
    """A puzzle may have more solutions than the one it comes with."""
    clues = _digits(text_of(row, "puzzle", "Puzzle"), "[0-4]{16}", "puzzle")
    solution = _digits(text_of(row, "solution", "Solution"), "[1-4]{16}", "solution")
    puzzle = SudokuPuzzle(clues, solution)
    if "0" not in clues or not sudoku.score(puzzle, solution).solved:
        raise DataError(
            "The solution is not a valid grid that keeps the clues, or nothing is blank.",
            remedy="Correct or remove the row.",
        )
    return puzzle


def _digits(text: str, pattern: str, column: str) -> str:
    digits = re.sub(r"\s", "", text)
    # A spreadsheet drops the zeros that a number begins with.
    digits = digits.zfill(sudoku.CELLS) if column == "puzzle" else digits
    if not re.fullmatch(pattern, digits):
        raise DataError(f'The {column} "{text[:40]}" is not sixteen digits to 4.', remedy="Write it row by row.")
    return digits
