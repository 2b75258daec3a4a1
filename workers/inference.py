"""What the pages ask of models at once: inspections, previews of data, held-out examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from gift_core.data_spec import TaskName, TaskSource
from gift_core.documents import DatasetPreview, Inspection
from gift_core.models.catalogue import find_model
from gift_core.recording import InspectionRequest, Recording
from gift_core.spec import ObjectiveSpec, RunSpec
from workers.checking.documents import MakePreview, Previewed
from workers.dataset_uses import file_of, with_kept_data
from workers.fairness.requester import STUDIO, Requester
from workers.store import NotFoundError

if TYPE_CHECKING:
    from workers.models import ModelShelf
    from workers.studio import Studio

# Held-out ones of each task; fewer of them are the first of these.
MOST_EXAMPLES = 20


@dataclass(frozen=True)
class HeldOutExample:
    """A prompt with its right answer that no built-in experiment trains on."""

    task: TaskName
    title: str
    prompt: str
    response: str


class InferenceService:
    """Synchronous and CPU heavy: call it from a thread."""

    def __init__(self, studio: Studio, shelf: ModelShelf) -> None:
        self._studio = studio
        self._shelf = shelf

    def inspect(
        self,
        checkpoints: Sequence[str],
        prompt: str,
        response: str,
        power: float,
        masked: Sequence[int] | None = None,
        compute: bool = True,
        by: Requester = STUDIO,
        still_wanted: Callable[[], None] = lambda: None,
    ) -> Inspection:
        """Return entropy, rates and top-k of each checkpoint, at the probe and with only `masked` positions of the
        response masked.

        Without `compute` only what is recorded is answered, and anything else raises `NotFoundError`. `still_wanted` is
        called before each model is loaded, and may raise. Raises `ModelError` or `SpecError`.
        """
        known = [self._shelf.checkpoint(name) for name in checkpoints]
        request = InspectionRequest(checkpoints=tuple(checkpoints), prompt=prompt, response=response, power=power)
        # No partial mask was recorded.
        for kept in self._recording.inspections if masked is None else ():
            if kept.request == request:
                return kept.inspection
        if not compute:
            raise NotFoundError("This text has not been inspected yet.", remedy="Press Inspect.")
        from gift_core.inspection import inspect

        with self._shelf.turns.held(by):
            models = []
            for checkpoint in known:
                still_wanted()
                models.append((checkpoint.id, checkpoint.label, self._shelf.load(checkpoint)))
            return inspect(models, prompt, response, ObjectiveSpec(power=power), masked=masked)

    @cached_property
    def _recording(self) -> Recording:
        """What the pages ask for first in a new studio is answered from it: no model has to be loaded for that."""
        return Recording.bundled()

    def preview(self, run: RunSpec, start: int, rows: int) -> DatasetPreview:
        """How rows `start` to `start + rows` look to the run's model.

        Raises `DataError`, `ModelError`, and `SpecError` for data that would have to be downloaded.
        """
        datasets = self._studio.datasets
        # A look at data never makes the server download.
        run = run.model_copy(update={"data": with_kept_data(run.data, datasets)})
        find_model(run.model.name)
        with datasets.held(run.data.source):
            question = MakePreview(run=run, file=file_of(run.data, datasets), start=start, rows=rows)
            answer = self._studio.checker.ask(question)
        assert isinstance(answer, Previewed)
        return answer.preview

    def examples(self, count: int) -> list[HeldOutExample]:
        """`count` held-out problems of each built-in task with their reference responses; at most `MOST_EXAMPLES`."""
        return [example for of_task in self._held_out for example in of_task[:count]]

    @cached_property
    def _held_out(self) -> list[list[HeldOutExample]]:
        # Made once: Sudoku takes half a second, and everybody may ask.
        from gift_core.data.sources import task_problems
        from gift_core.tasks.registry import TASKS

        return [
            [
                HeldOutExample(name, f"{task.title} {number}: {problem.title}", problem.prompt, problem.response)
                for number, problem in enumerate(task_problems(TaskSource(task=name, examples=1), MOST_EXAMPLES)[1], 1)
            ]
            for name, task in TASKS.items()
        ]
