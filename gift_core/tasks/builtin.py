"""The built-in tasks as lists to evaluate: held-out problems on their own prompts, judged by their own rules."""

from __future__ import annotations

from dataclasses import dataclass

from gift_core.data_spec import TaskName
from gift_core.errors import SpecError
from gift_core.tasks.items import GENERATED, GeneratedItems, Item, ItemSource, Score, no_source, shown
from gift_core.tasks.sudoku import puzzle_from_prompt
from gift_core.tasks.sudoku4x4 import scored_grid
from gift_core.tasks.task import Task, answer_in


@dataclass(frozen=True)
class BuiltIn:
    """A built-in task under the name it has in a run's spec."""

    name: TaskName
    task: Task
    default_source: ItemSource = GENERATED

    @property
    def title(self) -> str:
        return self.task.title

    def items(self, source: ItemSource) -> list[Item]:
        if not isinstance(source, GeneratedItems):
            raise no_source(self.name, source, "Generate them: this task is its generator.")
        level = source.difficulty or "standard"
        try:
            _, problems = self.task.generate(0, level, source.seed, source.count)
        except SpecError as error:
            problem = error.problems[0]
            raise SpecError(problem.message, field="source.count", remedy=problem.remedy) from error
        return [
            Item(f"{self.name}/{level}/{source.seed}/{index}", problem.prompt, problem.answer)
            for index, problem in enumerate(problems)
        ]

    def score(self, item: Item, response: str) -> Score:
        verdict = self.task.judge(item.prompt, response)
        assert verdict, "the task wrote the prompt"
        return Score(verdict.solved, shown(answer_in(response)), verdict.text)


@dataclass(frozen=True)
class BuiltInSudoku(BuiltIn):
    """Sudoku has further measures than whether it is solved."""

    def score(self, item: Item, response: str) -> Score:
        puzzle = puzzle_from_prompt(item.prompt)
        assert puzzle, "the task wrote the prompt"
        return scored_grid(puzzle, answer_in(response))
