"""The built-in tasks, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gift_core.spec import TaskName
from gift_core.tasks import algebra, countdown, sudoku, word_problems
from gift_core.tasks.task import Task, Verdict

TASKS: Mapping[TaskName, Task] = MappingProxyType(
    {"sudoku": sudoku, "countdown": countdown, "word_problems": word_problems.TASK, "algebra": algebra.TASK}
)


def judge(prompt: str, response: str) -> Verdict | None:
    """The verdict of the task that `prompt` belongs to; None when it belongs to none."""
    verdicts = (task.judge(prompt, response) for task in TASKS.values())
    return next((verdict for verdict in verdicts if verdict), None)
