"""An evaluation as a folder: what was asked, the items, and every answer as soon as it is there.

A folder that was left unfinished is gone on with; from a finished one all scores can be computed again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from gift_core.errors import SpecError, StoppedError
from gift_core.evaluation import Generation, generate
from gift_core.evaluation_spec import EvaluationPlan
from gift_core.models.fingerprint import fingerprint as model_fingerprint
from gift_core.models.loading import DiffusionModel
from gift_core.provenance import package_versions
from gift_core.reporting import write_atomically
from gift_core.spec import SamplingSpec
from gift_core.tasks.items import Item, fingerprint

T = TypeVar("T")
HEADER_FILE, ITEMS_FILE = "evaluation.json", "items.jsonl"


class EvaluationHeader(BaseModel):
    """What decides the answers. `model` is the name it went by, `versions` are of the packages that began it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    model_fingerprint: str
    plan: EvaluationPlan
    items: int
    items_fingerprint: str
    versions: dict[str, str]


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

    `turns` is entered for each batch: others who compute on the same machine get theirs in between.
    """

    batch: int = 32
    on_progress: Callable[[EvaluationProgress], None] = lambda _: None
    should_stop: Callable[[], bool] = lambda: False
    turns: AbstractContextManager[object] = field(default_factory=nullcontext)


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
    _begin(directory, header, items)
    by_id = {item.id: item for item in items}
    meter = _Meter(plan, len(items), options)
    with ExitStack() as files:
        answers = [files.enter_context(_Answers(directory, *condition)) for condition in plan.conditions()]
        meter.count([(by_id[name], each) for found in answers for name, each in found.known.items()], made=False)
        for found, (sampling, seed) in zip(answers, plan.conditions(), strict=True):
            pending = [item for item in items if item.id not in found.known]
            parts = generate(model, pending, sampling, seed, options.batch)
            while part := _next(parts, options.turns):
                found.add(part)
                meter.count([(by_id[each.item], each) for each in part])
                if options.should_stop() and meter.left:
                    stopped = f"Stopped after {meter.done:,} of {meter.total:,} answers."
                    raise StoppedError(stopped, remedy="Evaluate again into the same folder to go on.")


def _next(parts: Iterator[list[Generation]], turns: AbstractContextManager[object]) -> list[Generation]:
    """The next batch; [] after the last."""
    with turns:
        return next(parts, [])


def read_header(directory: Path) -> EvaluationHeader:
    """What a folder was asked; raises `SpecError` where it holds no evaluation."""
    try:
        return EvaluationHeader.model_validate_json((directory / HEADER_FILE).read_text("utf-8"))
    except (OSError, ValueError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise SpecError(
            f"{directory} holds no evaluation that can be read: {reason}.".replace("..", "."),
            field="evaluation",
            remedy="Name a folder that `gift evaluate` wrote.",
        ) from error


def read_items(directory: Path) -> list[Item]:
    """The items that were asked, in their order."""
    return _rows(directory / ITEMS_FILE, Item)


def read_generations(directory: Path, header: EvaluationHeader) -> list[dict[str, Generation]]:
    """The answers there are by item, for each of the plan's conditions."""
    return [
        {each.item: each for each in _rows(directory / _file_of(sampling, seed), Generation)}
        for sampling, seed in header.plan.conditions()
    ]


class _Answers:
    """The file of one condition. What a dying process left half written is asked again."""

    def __init__(self, directory: Path, sampling: SamplingSpec, seed: int) -> None:
        path = directory / _file_of(sampling, seed)
        self.known = {each.item: each for each in _rows(path, Generation)}
        write_atomically(path, "".join(map(_line, self.known.values())))
        self._file = path.open("a", encoding="utf-8")

    def __enter__(self) -> _Answers:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, part: Sequence[Generation]) -> None:
        self._file.write("".join(map(_line, part)))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.known |= {each.item: each for each in part}


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


def _begin(directory: Path, header: EvaluationHeader, items: Sequence[Item]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / HEADER_FILE
    if path.exists():
        before = read_header(directory)
        if differing := _differences(before, header):
            raise SpecError(
                f"{directory} holds another evaluation: {', '.join(differing)} differ.",
                field="--output",
                remedy="Choose another folder.",
            )
        return
    rows = "".join(json.dumps(asdict(item)) + "\n" for item in items)
    write_atomically(directory / ITEMS_FILE, rows)
    write_atomically(path, header.model_dump_json(indent=2))


def _differences(one: EvaluationHeader, other: EvaluationHeader) -> list[str]:
    """In what two evaluations are not the same. A newer version may go on: which answers are whose, the log says."""
    names = ("model_fingerprint", "items_fingerprint", "plan")
    return [name for name in names if getattr(one, name) != getattr(other, name)]


def _file_of(sampling: SamplingSpec, seed: int) -> str:
    return f"generations-{sampling.length}-{seed}.jsonl"


def _line(generation: Generation) -> str:
    return json.dumps(asdict(generation)) + "\n"


def _rows(path: Path, kind: type[T]) -> list[T]:
    """The whole lines of a file; none where there is no file."""
    adapter = TypeAdapter(kind)
    rows = []
    with suppress(FileNotFoundError), path.open("rb") as file:
        for line in file:
            # The last one is half a line where the process that wrote it died.
            with suppress(ValidationError):
                rows.append(adapter.validate_json(line))
    return rows
