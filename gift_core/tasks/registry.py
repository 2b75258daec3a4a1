"""The built-in tasks, and all that a model is evaluated on, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gift_core.data_spec import TaskName
from gift_core.tasks import algebra, countdown, sudoku, word_problems
from gift_core.tasks.benchmarks import Gsm8k, Math500
from gift_core.tasks.builtin import BuiltIn, BuiltInSudoku
from gift_core.tasks.countdown3 import Countdown3
from gift_core.tasks.items import EvaluationTask, EvaluationTaskName
from gift_core.tasks.sudoku4x4 import Sudoku4x4
from gift_core.tasks.task import Task, Verdict

TASKS: Mapping[TaskName, Task] = MappingProxyType(
    {"sudoku": sudoku, "countdown": countdown, "word_problems": word_problems.TASK, "algebra": algebra.TASK}
)

EVALUATION_TASKS: Mapping[EvaluationTaskName, EvaluationTask] = MappingProxyType(
    {
        "sudoku": BuiltInSudoku("sudoku", sudoku),
        "countdown": BuiltIn("countdown", countdown),
        "word_problems": BuiltIn("word_problems", word_problems.TASK),
        "algebra": BuiltIn("algebra", algebra.TASK),
        "gsm8k": Gsm8k(),
        "math500": Math500(),
        "countdown3": Countdown3(),
        "sudoku4x4": Sudoku4x4(),
    }
)


def judge(prompt: str, response: str) -> Verdict | None:
    """The verdict of the task that `prompt` belongs to; None when it belongs to none."""
    verdicts = (task.judge(prompt, response) for task in TASKS.values())
    return next((verdict for verdict in verdicts if verdict), None)
