"""Evaluating a checkpoint on a list of problems."""

from __future__ import annotations

import shutil
import time
from typing import Any

from gift_core.errors import StoppedError
from gift_core.evaluation_files import AnotherEvaluationError
from gift_core.evaluation_run import EvaluationOptions, EvaluationProgress, evaluate
from workers.context import JobContext
from workers.kinds import ANSWERS
from workers.orders import EvaluationOrder

_BATCH = 16


def run(order: EvaluationOrder, context: JobContext) -> dict[str, Any]:
    """Ask for the answers that are not there yet; they stay when it is stopped."""

    def show(progress: EvaluationProgress) -> None:
        solved.update(solved=progress.solved, answers=progress.done)
        context.report(
            {
                "step": progress.done,
                "time": time.time(),
                "phase": "evaluating",
                "total_steps": progress.total,
                "eta_seconds": progress.eta_seconds,
                "values": {"solved": progress.solved},
            }
        )

    def after_step() -> None:
        if context.stop():
            raise StoppedError("Stopped by request.")

    solved: dict[str, Any] = {}
    answers = context.directory / ANSWERS
    plan, model = order.plan(context.dataset), context.model(order.checkpoint)
    options = EvaluationOptions(_BATCH, show, context.stop, after_step)
    try:
        evaluate(model, order.checkpoint, plan, answers, options)
    except AnotherEvaluationError:
        # Of other weights or items under the same names, as after an update: nobody can ask for them any more.
        shutil.rmtree(answers)
        evaluate(model, order.checkpoint, plan, answers, options)
    return solved
