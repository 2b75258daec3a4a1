"""Looks at whole data sets for the pages: begun at once, a batch in each turn, kept under what they were asked for."""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from gift_core.dataset_document import DatasetInspection
from gift_core.errors import GiftError, Problem
from gift_core.reporting import write_atomically
from gift_core.spec import FileSource, RunSpec, Seed
from workers.failures import unexpected
from workers.live_traces import ENDED, TraceState
from workers.store import ConflictError, NotFoundError

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
_ID = re.compile(r"di_[0-9a-f]{32}")


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
        self._directory = studio.inspection_files
        self._live: OrderedDict[str, LiveInspection] = OrderedDict()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="dataset-inspection")

    def start(self, order: DatasetOrder) -> LiveInspection:
        """Begin what was not begun before; raises `ModelError` or `DataError` where a checkpoint or a data set is
        unknown, `ConflictError` when too many wait already."""
        known = [self._shelf.checkpoint(name) for name in order.checkpoints]
        if isinstance(order.run.data.source, FileSource):
            self._studio.datasets.get(order.run.data.source.dataset)
        with self._lock:
            live = self._live.get(order.id)
            if live and not live.ended and not live.cancelled.is_set():
                return live
            if stored := self._stored(order.id):
                return LiveInspection.of(order.id, stored)
            waiting = sum(not each.ended for each in self._live.values())
            if waiting >= _MOST_WAITING:
                raise ConflictError(f"{waiting} data sets are being looked at.", remedy="Try again when some are done.")
            live = self._live[order.id] = LiveInspection(order.id)
            self._live.move_to_end(order.id)
            self._forget()
        self._pool.submit(self._run, live, order, known)
        return live

    def live(self, identity: str) -> LiveInspection:
        """One that is under way or was kept; raises `NotFoundError`."""
        with self._lock:
            found = self._live.get(identity)
        if found:
            return found
        # An id comes from an address: it must be one before it becomes part of a path.
        stored = self._stored(identity) if _ID.fullmatch(identity) else None
        if stored is None:
            raise NotFoundError(f"Nothing is known of {identity!r}.", remedy="Check the link, or look again.")
        return LiveInspection.of(identity, stored)

    def cancel(self, identity: str) -> LiveInspection:
        """Stop after the batch it is in; leaves an ended one alone. Raises `NotFoundError`."""
        live = self.live(identity)
        live.cancelled.set()
        if live.state == TraceState.QUEUED:
            live.end(TraceState.CANCELLED)
        return live

    def close(self) -> None:
        """Stop everything after the batches it is in."""
        for live in list(self._live.values()):
            live.cancelled.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, live: LiveInspection, order: DatasetOrder, checkpoints: list[Checkpoint]) -> None:
        try:
            result = self._look(live, order, checkpoints)
            self._keep(live.id, result)
            live.finish(result)
            with self._lock:
                # Unless it was cancelled in its last moment, and asked for again.
                if self._live.get(live.id) is live:
                    del self._live[live.id]
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
        self._directory.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path(identity), result.model_dump_json())
        for path in self._files()[_KEPT:]:
            path.unlink(missing_ok=True)

    def _stored(self, identity: str) -> DatasetInspection | None:
        """None where there is none, or none that can be read: it is then made again."""
        path = self._path(identity)
        with suppress(OSError, ValidationError):
            found = DatasetInspection.model_validate_json(path.read_bytes())
            path.touch()
            return found
        return None

    def _path(self, identity: str) -> Path:
        return self._directory / f"{identity}.json"

    def _files(self) -> list[Path]:
        """All files, those used last first."""

        def age(path: Path) -> float:
            with suppress(OSError):
                return -path.stat().st_mtime
            return 0.0

        return sorted(self._directory.glob("di_*.json"), key=age)

    def _forget(self) -> None:
        ended = (identity for identity, live in list(self._live.items()) if live.ended)
        while len(self._live) > _REMEMBERED and (oldest := next(ended, None)):
            del self._live[oldest]


def _go_on(live: LiveInspection) -> None:
    if live.cancelled.is_set():
        raise _CancelledError
