"""Looks at whole data sets for the pages: begun at once, a batch in each turn, kept under what they were asked for."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from gift_core.dataset_document import DatasetInspection
from gift_core.errors import GiftError, Problem
from gift_core.reporting import write_atomically
from gift_core.spec import FileSource, RunSpec, Seed
from workers.failures import unexpected
from workers.kept import Jobs, KeptFiles, cancel
from workers.live_traces import ENDED, TraceState
from workers.store import NotFoundError

if TYPE_CHECKING:
    from gift_core.models.loading import DiffusionModel
    from workers.models import ModelShelf
    from workers.studio import Checkpoint, Studio

MOST_EXAMPLES = 2000
_AT_ONCE = 2
_MOST_WAITING = 16
# Ended looks that are remembered without a file: why they failed, who cancelled them.
_REMEMBERED = 100
# Files beyond this many go, those used longest ago first.
_KEPT = 200
# A batch is a turn: with a training's own size, a denoising beside it would stand still for a second at a time.
_TOKENS_AT_ONCE = 2048
# Tokens at either end: as many as one can compare by eye.
_LISTED = 12


class DatasetOrder(BaseModel):
    """What decides a look at a data set. Two equal orders give the same, so the second is answered with the first's.

    Of `run` count the data, what training makes of them, and the rates of the objective.
    """

    model_config = ConfigDict(frozen=True)

    checkpoints: tuple[str, ...]
    run: RunSpec
    examples: int
    seed: Seed
    minimum_count: int

    @property
    def id(self) -> str:
        return f"di_{hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:32]}"


class LiveInspection:
    """Written by one thread, read by any. `result` is there once the state is `finished`."""

    def __init__(self, identity: str) -> None:
        self.id = identity
        self.state = TraceState.QUEUED
        self.done = 0
        self.total: int | None = None
        self.result: DatasetInspection | None = None
        self.problems: tuple[Problem, ...] = ()
        self.cancelled = threading.Event()

    @classmethod
    def of(cls, identity: str, result: DatasetInspection) -> LiveInspection:
        """A finished one."""
        live = cls(identity)
        live.total = live.done = result.examples * len(result.checkpoints)
        live.finish(result)
        return live

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def finish(self, result: DatasetInspection) -> None:
        self.result = result
        self.state = TraceState.FINISHED

    def withdraw(self) -> None:
        """End it if it has not begun."""
        if self.state == TraceState.QUEUED:
            self.end(TraceState.CANCELLED)

    def end(self, state: TraceState, *problems: Problem) -> None:
        self.problems = problems
        self.state = state


class _CancelledError(Exception):
    """Ends a computation from within its report of progress."""


class DatasetInspectionService:
    """Looks at the data sets of one studio. Models are those of `shelf`."""

    def __init__(self, studio: Studio, shelf: ModelShelf) -> None:
        self._studio = studio
        self._shelf = shelf
        self._files = KeptFiles(studio.inspection_files, "di", ".json", _KEPT)
        self._jobs: Jobs[LiveInspection] = Jobs(
            "dataset-inspection",
            "data sets are being looked at",
            at_once=_AT_ONCE,
            most=_MOST_WAITING,
            remembered=_REMEMBERED,
        )

    def start(self, order: DatasetOrder) -> LiveInspection:
        """Begin what was not begun before; raises `ModelError` or `DataError` where a checkpoint or a data set is
        unknown, `ConflictError` when too many wait already."""
        known = [self._shelf.checkpoint(name) for name in order.checkpoints]
        if isinstance(order.run.data.source, FileSource):
            self._studio.datasets.get(order.run.data.source.dataset)

        def stored() -> LiveInspection | None:
            found = self._stored(order.id)
            return LiveInspection.of(order.id, found) if found else None

        return self._jobs.begin(
            order.id, stored, lambda: LiveInspection(order.id), lambda live: self._run(live, order, known)
        )

    def live(self, identity: str) -> LiveInspection:
        """One that is under way or was kept; raises `NotFoundError`."""
        if found := self._jobs.get(identity):
            return found
        stored = self._stored(identity)
        if stored is None:
            raise NotFoundError(f"Nothing is known of {identity!r}.", remedy="Check the link, or look again.")
        return LiveInspection.of(identity, stored)

    def cancel(self, identity: str) -> LiveInspection:
        """Stop after the batch it is in; leaves an ended one alone. Raises `NotFoundError`."""
        live = self.live(identity)
        cancel(live)
        return live

    def close(self) -> None:
        """Stop everything after the batches it is in."""
        self._jobs.close()

    def _run(self, live: LiveInspection, order: DatasetOrder, checkpoints: list[Checkpoint]) -> None:
        try:
            result = self._look(live, order, checkpoints)
            self._keep(live.id, result)
            # From here on it is the file.
            self._jobs.drop(live)
            live.finish(result)
        except _CancelledError:
            live.end(TraceState.CANCELLED)
        except GiftError as error:
            live.end(TraceState.FAILED, *error.problems)
        except Exception as error:
            live.end(TraceState.FAILED, *unexpected(error, f"data set inspection {live.id}"))

    def _look(self, live: LiveInspection, order: DatasetOrder, checkpoints: list[Checkpoint]) -> DatasetInspection:
        from gift_core.data.sources import load_split
        from gift_core.dataset_inspection import DatasetOptions, inspect_dataset

        _go_on(live)
        live.state = TraceState.RUNNING
        examples = load_split(order.run.data, self._studio.datasets.path).training
        options = DatasetOptions(
            examples=order.examples,
            seed=order.seed,
            minimum_count=order.minimum_count,
            listed=_LISTED,
            tokens_at_once=_TOKENS_AT_ONCE,
        )
        opened = 0

        def models() -> Iterator[tuple[str, str, DiffusionModel]]:
            nonlocal opened
            for checkpoint in checkpoints:
                _go_on(live)
                opened += 1
                yield checkpoint.id, checkpoint.label, self._shelf.load(checkpoint)

        def progress(_: str, done: int, total: int) -> None:
            live.total = total * len(checkpoints)
            live.done = total * (opened - 1) + done
            _go_on(live)
            # Others get their turn between batches.
            self._shelf.turns.pass_on()

        with self._shelf.turns:
            return inspect_dataset(models(), examples, order.run, options, progress)

    def _keep(self, identity: str, result: DatasetInspection) -> None:
        path = self._files.path(identity)
        assert path
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, result.model_dump_json())
        self._files.remove_oldest()

    def _stored(self, identity: str) -> DatasetInspection | None:
        """None where there is none, or none that can be read: it is then made again."""
        path = self._files.path(identity)
        if path is None:
            return None
        with suppress(OSError, ValidationError):
            found = DatasetInspection.model_validate_json(path.read_bytes())
            self._files.used(path)
            return found
        return None


def _go_on(live: LiveInspection) -> None:
    if live.cancelled.is_set():
        raise _CancelledError
