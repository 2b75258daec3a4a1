"""Scores with their uncertainty: how many held-out problems a checkpoint solves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gift_core.data.tokenisation import Encoder
from gift_core.models.forward import evaluating
from gift_core.models.loading import DiffusionModel
from gift_core.sampling import denoise, text_of
from gift_core.spec import SamplingSpec
from gift_core.statistics import wilson_interval
from gift_core.tasks.task import Problem, Task

_BATCH = 64


def score_task(
    model: DiffusionModel,
    task: Task,
    problems: Sequence[Problem],
    sampling: SamplingSpec,
    on_progress: Callable[[int], None] = lambda _: None,
) -> dict[str, float | int]:
    """Problems solved: `correct` of `n`, their `share` and its 95 % Wilson interval `low` to `high`."""
    encoder = Encoder(model.tokenizer)
    correct = 0
    for start in range(0, len(problems), _BATCH):
        batch = problems[start : start + _BATCH]
        with evaluating(model.network):
            answers = denoise(model, [encoder.prompt(problem.prompt) for problem in batch], sampling)
        verdicts = [
            task.judge(problem.prompt, text_of(model, ids)) for problem, ids in zip(batch, answers, strict=True)
        ]
        correct += sum(verdict is not None and verdict.solved for verdict in verdicts)
        on_progress(start + len(batch))
    low, high = wilson_interval(correct, len(problems))
    return {"correct": correct, "n": len(problems), "share": correct / len(problems), "low": low, "high": high}
