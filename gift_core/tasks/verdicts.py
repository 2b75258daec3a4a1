"""A verdict on an answer, in words, when the prompt is one that a task can check."""

from __future__ import annotations

from gift_core.tasks import sudoku


def verdict(prompt: str, answer: str) -> str:
    """ "solved", "4 of 9 blanks right", or "" when the prompt belongs to no task."""
    puzzle = sudoku.puzzle_from_prompt(prompt)
    if puzzle is None:
        return ""
    result = sudoku.score(puzzle, answer)
    if result.solved:
        return "solved"
    blanks = puzzle.clues.count("0")
    return f"{round(result.cells * blanks)} of {blanks} blanks right"
