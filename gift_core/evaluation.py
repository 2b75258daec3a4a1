"""Scores with their uncertainty: how many held-out puzzles a checkpoint solves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gift_core.data.tokenisation import Encoder
from gift_core.models.loading import DiffusionModel
from gift_core.sampling import denoise, text_of
from gift_core.spec import SamplingSpec
from gift_core.statistics import wilson_interval
from gift_core.tasks import sudoku

_BATCH = 64


def score_sudoku(
    model: DiffusionModel,
    puzzles: Sequence[sudoku.SudokuPuzzle],
    sampling: SamplingSpec,
    on_progress: Callable[[int], None] = lambda _: None,
) -> dict[str, float | int]:
    """Puzzles solved: `correct` of `n`, their `share` and its 95 % Wilson interval `low` to `high`."""
    encoder = Encoder(model.tokenizer)
    correct = 0
    for start in range(0, len(puzzles), _BATCH):
        batch = puzzles[start : start + _BATCH]
        answers = denoise(model, [encoder.prompt(sudoku.prompt(puzzle)) for puzzle in batch], sampling)
        correct += sum(
            sudoku.score(puzzle, text_of(model, ids)).solved for puzzle, ids in zip(batch, answers, strict=True)
        )
        on_progress(start + len(batch))
    low, high = wilson_interval(correct, len(puzzles))
    return {"correct": correct, "n": len(puzzles), "share": correct / len(puzzles), "low": low, "high": high}
