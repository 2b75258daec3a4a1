"""An evaluation as a folder: what was asked, the items, and every answer as soon as it is there.

A folder that was left unfinished is gone on with; from a finished one all scores can be computed again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from gift_core.errors import StoppedError
from gift_core.evaluation import check_lengths, generate
from gift_core.evaluation_document import EvaluationHeader, Generation
from gift_core.evaluation_files import AnswerFile, alone_in, begin
from gift_core.evaluation_spec import EvaluationPlan
from gift_core.models.fingerprint import fingerprint as model_fingerprint
from gift_core.models.loading import DiffusionModel
from gift_core.provenance import package_versions
from gift_core.tasks.items import Item, fingerprint


@dataclass(frozen=True)
class EvaluationProgress:
    """Over all lengths and seeds: answers there are of those wanted, how many of them are solved, seconds left."""

    done: int
    total: int
    solved: int
    eta_seconds: float | None


@dataclass(frozen=True)
class EvaluationOptions:
    """How an evaluation is carried out; none of it changes the answers. `should_stop` is asked after each batch.

    `after_step` is called after each denoising step; what it raises ends the evaluation, without the batch under way.
    """

    batch: int = 32
    on_progress: Callable[[EvaluationProgress], None] = lambda _: None
    should_stop: Callable[[], bool] = lambda: False
    after_step: Callable[[], None] = lambda: None


def evaluate(
    model: DiffusionModel, name: str, plan: EvaluationPlan, directory: Path, options: EvaluationOptions | None = None
) -> None:
    """Ask `model` everything that `plan` wants and `directory` does not hold yet.

    Raises `SpecError` where the folder belongs to another evaluation, `StoppedError` when it was stopped: the same call
    goes on from there.
    """
    options = options or EvaluationOptions()
    task = plan.evaluation_task
    items = task.items(plan.source or task.default_source)
    header = EvaluationHeader(
        model=name,
        model_fingerprint=model_fingerprint(model),
        plan=plan,
        items=len(items),
        items_fingerprint=fingerprint(items),
        versions=package_versions(),
    )
    conditions = plan.conditions()
    check_lengths(model, items, max(sampling.length for sampling, _ in conditions))
    begin(directory, header, items)
    by_id = {item.id: item for item in items}
    meter = _Meter(plan, len(items), options)
    with ExitStack() as files:
        files.enter_context(alone_in(directory))
        answers = [files.enter_context(AnswerFile(directory, *condition, by_id)) for condition in conditions]
        meter.count([(by_id[name], each) for found in answers for name, each in found.known.items()], made=False)
        for found, (sampling, seed) in zip(answers, conditions, strict=True):
            pending = [item for item in items if item.id not in found.known]
            for part in generate(model, pending, sampling, seed, options.batch, options.after_step):
                found.add(part)
                meter.count([(by_id[each.item], each) for each in part])
                if options.should_stop() and meter.left:
                    stopped = f"Stopped after {meter.done:,} of {meter.total:,} answers."
                    raise StoppedError(stopped, remedy="Evaluate again into the same folder to go on.")


class _Meter:
    """Counts and times; what earlier starts had done says nothing about how fast this one is."""

    def __init__(self, plan: EvaluationPlan, items: int, options: EvaluationOptions) -> None:
        self.total = len(plan.conditions()) * items
        self.done = 0
        self._task = plan.evaluation_task
        self._options = options
        self._solved = self._made = 0
        self._started = time.perf_counter()

    @property
    def left(self) -> int:
        return self.total - self.done

    def count(self, answers: Sequence[tuple[Item, Generation]], *, made: bool = True) -> None:
        """Tell of more answers, `made` just now or found."""
        self._solved += sum(self._task.score(item, answer.response).solved for item, answer in answers)
        self.done += len(answers)
        self._made += len(answers) if made else 0
        eta = (time.perf_counter() - self._started) / self._made * self.left if self._made else None
        self._options.on_progress(EvaluationProgress(self.done, self.total, self._solved, eta))
