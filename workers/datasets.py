"""The uploaded data sets: received as a stream, checked row by row before they are accepted."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from gift_core.data.files import SUFFIXES, read_examples, unknown_kind
from gift_core.errors import DataError
from gift_core.tasks.items import EvaluationTaskName, FileItems
from gift_core.tasks.registry import EVALUATION_TASKS
from workers.records import Dataset

_LABEL_LENGTH = 120


def count_examples(path: Path) -> int:
    """Rows to learn from; raises `DataError` where one has no prompt or response."""
    return len(read_examples(path).examples)


def count_items(task: EvaluationTaskName) -> Callable[[Path], int]:
    """The same for problems of a task, whose columns are its own; raises `SpecError` where it takes no file."""
    return lambda path: len(EVALUATION_TASKS[task].items(FileItems(path=path)))


class DatasetTable(Protocol):
    """What the store of records must offer."""

    def add_dataset(self, dataset: Dataset) -> Dataset: ...
    def dataset(self, dataset_id: str) -> Dataset | None: ...
    def datasets(self) -> Sequence[Dataset]: ...


class TooLargeError(DataError):
    """An upload is larger than the studio accepts."""

    code = "too_large"


class DatasetStore:
    """Files in `directory`, named by their ids; the records are in `store`."""

    def __init__(self, directory: Path, store: DatasetTable, limit_bytes: int) -> None:
        self._directory = directory
        self._store = store
        self._limit = limit_bytes
        directory.mkdir(parents=True, exist_ok=True)

    async def receive(
        self,
        name: str,
        chunks: AsyncIterator[bytes],
        declared_bytes: int = 0,
        count_rows: Callable[[Path], int] = count_examples,
    ) -> Dataset:
        """Store an upload. Raises `DataError` when it is unreadable or too large, and keeps nothing of it.

        One whose `declared_bytes` are too many is refused before anything of it is read. `count_rows` says how many
        rows a file has, or raises `DataError` where one cannot be used.
        """
        label = _label(name)
        suffix = PurePosixPath(label).suffix.lower()
        if suffix not in SUFFIXES:
            raise unknown_kind(label[:_LABEL_LENGTH])
        if declared_bytes > self._limit:
            raise self._too_large(label[:_LABEL_LENGTH])
        handle, partial_name = tempfile.mkstemp(prefix=".partial-", suffix=suffix, dir=self._directory)
        partial = Path(partial_name)
        try:
            digest, size = hashlib.sha256(), 0
            with os.fdopen(handle, "wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > self._limit:
                        raise self._too_large(label[:_LABEL_LENGTH])
                    digest.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
            digest.update(suffix.encode())
            dataset_id = f"ds_{digest.hexdigest()[:16]}"
            return await asyncio.to_thread(self._accept, partial, dataset_id, label[:_LABEL_LENGTH], size, count_rows)
        finally:
            partial.unlink(missing_ok=True)

    def path(self, dataset_id: str) -> Path:
        """The data set's file; raises `DataError` when there is no such data set."""
        dataset = self.get(dataset_id)
        return self._directory / f"{dataset.id}{dataset.suffix}"

    def get(self, dataset_id: str) -> Dataset:
        """Raises `DataError` when there is no such data set."""
        dataset = self._store.dataset(dataset_id)
        if dataset is None:
            raise DataError(
                "Unknown data set.",
                field="data.source.dataset",
                remedy="Choose one from the list of data sets, or upload the file again.",
            )
        return dataset

    def list(self) -> Sequence[Dataset]:
        return self._store.datasets()

    def _accept(
        self, partial: Path, dataset_id: str, label: str, size: int, count_rows: Callable[[Path], int]
    ) -> Dataset:
        rows = count_rows(partial)
        partial.replace(self._directory / f"{dataset_id}{partial.suffix}")
        return self._store.add_dataset(Dataset(id=dataset_id, name=label, suffix=partial.suffix, bytes=size, rows=rows))

    def _too_large(self, label: str) -> TooLargeError:
        return TooLargeError(
            f"{label} is larger than the {self._limit / 2**20:.3g} MB limit.",
            field="data.source.dataset",
            remedy="Upload fewer rows, or train from the file itself on the command line with `gift train`.",
        )


def _label(name: str) -> str:
    """The name as it is shown: its last part, without what cannot be printed. It never becomes a path."""
    return "".join(c for c in name.replace("\\", "/").rsplit("/", 1)[-1] if c.isprintable())
