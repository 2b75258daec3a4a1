"""Evaluations for the pages: one after the other in the background, saved as they go, gone on with after a restart."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, Field, PositiveInt, ValidationError

from gift_core.errors import GiftError, Problem, SpecError, StoppedError
from gift_core.evaluation_spec import EvaluationPlan
from gift_core.reporting import write_atomically
from gift_core.spec import SamplingSpec, Section, Seed
from gift_core.tasks.items import EvaluationTaskName, FileItems, GeneratedItems, HubItems
from workers.failures import not_written, unexpected
from workers.store import ConflictError, NotFoundError

if TYPE_CHECKING:
    from gift_core.evaluation_report import Evaluation
    from gift_core.evaluation_run import EvaluationProgress
    from workers.models import ModelShelf

logger = logging.getLogger(__name__)

_ID = re.compile(r"ev_[0-9a-f]{32}")
_ORDER_FILE = "order.json"
_BATCH = 16
_MOST_WAITING = 32
_MOST_ANSWERS = 50_000
# So many evaluations are kept with their scores.
_SCORED = 8


class UploadedItems(Section):
    """Problems from an uploaded data set."""

    kind: Literal["dataset"] = "dataset"
    dataset: str = Field(min_length=1, max_length=200, description="The data set's id.")
    first: PositiveInt | None = Field(None, description="So many items from the start of the list; all by default.")


class EvaluationSettings(Section):
    """An `EvaluationPlan` whose items may be an uploaded data set; no path of the machine can be named."""

    task: EvaluationTaskName = Field("sudoku", description="A built-in task, or a benchmark of docs/tasks.md.")
    source: Annotated[GeneratedItems | HubItems | UploadedItems, Field(discriminator="kind")] | None = Field(
        None, description="Where its items come from; the task's own list if left out."
    )
    sampling: SamplingSpec | None = Field(None, description="The denoiser; what suits the task if left out.")
    lengths: Annotated[tuple[PositiveInt, ...], Field(max_length=8)] = Field((), description="Tokens to generate.")
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=32)] = Field((0,), description="Of the noise.")


class EvaluationOrder(EvaluationSettings):
    """What decides an evaluation. Two equal orders are one evaluation: the second goes on with the first's answers."""

    checkpoint: Annotated[str, Field(min_length=1, max_length=200)]

    @property
    def id(self) -> str:
        return f"ev_{hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:32]}"

    def plan(self, dataset_path: Callable[[str], Path]) -> EvaluationPlan:
        """The same for the library, with an uploaded data set as its file; raises `SpecError` or `DataError`."""
        source = self.source
        found = (
            FileItems(path=dataset_path(source.dataset), first=source.first)
            if isinstance(source, UploadedItems)
            else source
        )
        asked = {"task": self.task, "sampling": self.sampling, "lengths": self.lengths, "seeds": self.seeds}
        plan = EvaluationPlan.parse(asked | {"source": found.model_dump() if found else None})
        wanted = len(plan.conditions()) * (found.count if isinstance(found, GeneratedItems) else 1)
        if wanted > _MOST_ANSWERS:
            raise SpecError(
                f"That is {wanted:,} answers; {_MOST_ANSWERS:,} can be asked for at once.",
                field="source.count",
                remedy="Ask for fewer items, lengths or seeds, or use `gift evaluate`.",
            )
        return plan


class EvaluationState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    STOPPED = "stopped"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass
class EvaluationJob:
    """An evaluation and how far it is. `order` is what it was asked with, `label` its checkpoint's."""

    order: EvaluationOrder
    label: str
    state: EvaluationState
    done: int = 0
    total: int | None = None
    solved: int = 0
    eta_seconds: float | None = None
    problems: tuple[Problem, ...] = ()

    def __post_init__(self) -> None:
        self.stop = threading.Event()

    @property
    def id(self) -> str:
        return self.order.id

    @property
    def active(self) -> bool:
        return self.state in (EvaluationState.QUEUED, EvaluationState.RUNNING)


class _Stored(BaseModel):
    """What is kept beside the answers, for a studio that is started again."""

    order: EvaluationOrder
    label: str
    state: EvaluationState
    done: int = 0
    total: int | None = None
    solved: int = 0


class EvaluationService:
    """Evaluations of one studio, a folder each in `directory`."""

    def __init__(self, directory: Path, shelf: ModelShelf, dataset_path: Callable[[str], Path]) -> None:
        self._directory = directory
        self._shelf = shelf
        self._dataset_path = dataset_path
        self._jobs: dict[str, EvaluationJob] = {}
        self._lock = threading.Lock()
        self._read: OrderedDict[str, tuple[object, Evaluation]] = OrderedDict()
        self._scoring = threading.Lock()
        # One at a time: an evaluation takes as long as it takes, and two would both take twice that.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="evaluation")
        self._read_stored()

    def start(self, orders: Sequence[EvaluationOrder]) -> list[EvaluationJob]:
        """Begin evaluations, or go on with those that were stopped; finished ones are there at once.

        Raises a `GiftError` where one could not be begun; then none is.
        """
        labels = [self._shelf.checkpoint(order.checkpoint).label for order in orders]
        for order in orders:
            order.plan(self._dataset_path)
        return [self._start(order, label) for order, label in zip(orders, labels, strict=True)]

    def jobs(self) -> list[EvaluationJob]:
        """All evaluations, the newest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def job(self, identity: str) -> EvaluationJob:
        """Raises `NotFoundError`."""
        with self._lock:
            found = self._jobs.get(identity)
        if found is None:
            raise NotFoundError(f"There is no evaluation {identity!r}.", remedy="Check the link, or evaluate again.")
        return found

    def evaluation(self, identity: str) -> Evaluation | None:
        """The answers there are, scored; None before there is any. Raises `NotFoundError`."""
        from gift_core.evaluation_files import HEADER_FILE
        from gift_core.evaluation_report import Evaluation

        folder = self._folder(self.job(identity))
        if not (folder / HEADER_FILE).exists():
            return None
        # Pages ask again and again, and scoring a long list takes seconds.
        state = tuple((path.name, path.stat().st_size) for path in sorted(folder.glob("*.jsonl")))
        with self._scoring:
            known = self._read.pop(identity, None)
            if known is None or known[0] != state:
                known = (state, Evaluation.read(folder))
            self._read[identity] = known
            while len(self._read) > _SCORED:
                self._read.popitem(last=False)
        return known[1]

    def stop(self, identity: str) -> EvaluationJob:
        """Stop an evaluation after its step; the answers it has stay. Raises `NotFoundError`."""
        job = self.job(identity)
        if job.active:
            job.stop.set()
        if job.state == EvaluationState.QUEUED:
            self._end(job, EvaluationState.STOPPED)
        return job

    def close(self) -> None:
        """Stop everything after the batch it is in."""
        for job in self.jobs():
            job.stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, order: EvaluationOrder, label: str) -> EvaluationJob:
        with self._lock:
            known = self._jobs.get(order.id)
            if known and (known.state == EvaluationState.FINISHED or (known.active and not known.stop.is_set())):
                return known
            waiting = sum(job.active for job in self._jobs.values())
            if waiting >= _MOST_WAITING:
                raise ConflictError(f"{waiting} evaluations are waiting.", remedy="Try again when some have ended.")
            job = EvaluationJob(order, label, EvaluationState.QUEUED)
            self._store(job)
            # To the end of the list: it is the newest again.
            self._jobs.pop(order.id, None)
            self._jobs[order.id] = job
        self._pool.submit(self._run, job)
        return job

    def _run(self, job: EvaluationJob) -> None:
        if not job.active:
            # It was stopped before it began.
            return
        try:
            self._evaluate(job)
            self._end(job, EvaluationState.FINISHED)
        except StoppedError:
            self._end(job, EvaluationState.STOPPED)
        except GiftError as error:
            self._end(job, EvaluationState.FAILED, error.problems)
        except Exception as error:
            self._end(job, EvaluationState.FAILED, unexpected(error, f"evaluation {job.id}"))

    def _evaluate(self, job: EvaluationJob) -> None:
        from gift_core.evaluation_files import AnotherEvaluationError
        from gift_core.evaluation_run import EvaluationOptions, evaluate

        job.state = EvaluationState.RUNNING

        def show(progress: EvaluationProgress) -> None:
            job.done, job.total, job.solved = progress.done, progress.total, progress.solved
            job.eta_seconds = progress.eta_seconds
            self._store(job)

        def after_step() -> None:
            if job.stop.is_set():
                raise StoppedError("Stopped by request.")
            # Others get their turn between steps.
            self._shelf.turns.pass_on()

        name, plan = job.order.checkpoint, job.order.plan(self._dataset_path)
        options = EvaluationOptions(_BATCH, show, job.stop.is_set, after_step)
        with self._shelf.turns:
            model = self._shelf.load(self._shelf.checkpoint(name))
            try:
                evaluate(model, name, plan, self._folder(job), options)
            except AnotherEvaluationError:
                # Of other weights or items under the same names, as after an update: nobody can ask for them any more.
                shutil.rmtree(self._folder(job))
                evaluate(model, name, plan, self._folder(job), options)

    def _end(self, job: EvaluationJob, state: EvaluationState, problems: Sequence[Problem] = ()) -> None:
        job.problems = tuple(problems)
        job.state = state
        # Of what cannot be written the answers are lost, and this with them.
        with suppress(GiftError):
            self._store(job)

    def _folder(self, job: EvaluationJob) -> Path:
        return self._directory / job.id

    def _store(self, job: EvaluationJob) -> None:
        folder = self._folder(job)
        stored = _Stored(
            order=job.order, label=job.label, state=job.state, done=job.done, total=job.total, solved=job.solved
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / _ORDER_FILE, stored.model_dump_json(indent=2))
        except OSError as error:
            raise not_written(error) from error

    def _read_stored(self) -> None:
        """What an earlier studio left: finished ones, and others that are stopped until somebody goes on with them."""
        files = [path for path in self._directory.glob(f"*/{_ORDER_FILE}") if _ID.fullmatch(path.parent.name)]
        for path in sorted(files, key=lambda path: path.stat().st_mtime):
            try:
                stored = _Stored.model_validate_json(path.read_bytes())
            except (OSError, ValidationError):
                logger.warning("%s cannot be read and is left out.", path)
                continue
            job = EvaluationJob(**dict(stored))
            if job.active:
                job.state = EvaluationState.STOPPED
            self._jobs[job.id] = job
