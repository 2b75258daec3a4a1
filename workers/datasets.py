"""The data sets of a studio: received as a stream or from the Hub, checked row by row before they are accepted."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

from pydantic import ValidationError

from gift_core.data.files import SUFFIXES, unknown_kind
from gift_core.data_spec import ColumnMapping, FileSource, HubSource, TaskSource
from gift_core.dataset_summary import DatasetSummary
from gift_core.errors import DataError
from gift_core.files import sync
from gift_core.section import clean_name
from workers.dataset_records import DatasetRecords
from workers.fairness.requester import STUDIO, Requester
from workers.fairness.semaphore import FairSemaphore
from workers.reading.checks import Check, check_examples, plain_mapping
from workers.reading.documents import JoinParts, ListProblems, ReadItems
from workers.reading.readers import AT_ONCE, Readers
from workers.records import Dataset
from workers.store import ConflictError, NotFoundError

_LABEL_LENGTH = 120
# Files whose rows are in memory at once, for previews and launches. Preflights have a line of their own.
_HELD_AT_ONCE = 2
_MEGABYTE = 2**20
# The room on the disk is looked at again after as much.
_LOOK_BYTES = 4 * _MEGABYTE


@dataclass(frozen=True)
class Checked:
    """What was found in a file that can be used; problems of a task have no summary."""

    rows: int
    summary: DatasetSummary | None = None
    task: str = ""

    @property
    def reading(self) -> str:
        """What the file is read as: files of equal bytes with equal readings are one data set."""
        mapping, origin = (self.summary.mapping, self.summary.origin) if self.summary else (None, None)
        parts = [self.task, *(part.model_dump(mode="json") if part else None for part in (mapping, origin))]
        return json.dumps(parts, sort_keys=True)


# The ids of what still needs a data set.
Uses = Callable[[str], Sequence[str]]


class TooLargeError(DataError):
    """An upload is larger than the studio accepts."""

    code = "too_large"


class Shared(Protocol):
    """What other hosts see of the data sets, where there are any."""

    def keep_dataset(self, file: Path) -> None: ...
    def bring_dataset(self, dataset_id: str) -> None: ...
    def remove_dataset(self, dataset_id: str) -> None: ...


@dataclass(frozen=True)
class _Arrived:
    """A file that has come in; `digest` is made of its bytes and its suffix."""

    path: Path
    label: str
    bytes: int
    digest: str

    def ids(self, reading: str) -> tuple[str, str]:
        """Return the ids that a data set of these bytes may have: that of the first reading, and that of another."""
        other = hashlib.sha256(f"{self.digest} {reading}".encode()).hexdigest()
        return _id(self.digest), _id(other)


class DatasetStore:
    """Files in `directory`, named by their ids; `records` says what is known of them, `uses` who needs one.

    A file that another host has received is `shared`, and comes here when it is asked for. `readers` read what arrives,
    and `check_room` raises while there is no room for more.
    """

    def __init__(
        self,
        directory: Path,
        records: DatasetRecords,
        limit_bytes: int,
        readers: Readers,
        uses: Uses = lambda _: (),
        shared: Shared | None = None,
        check_room: Callable[[], None] = lambda: None,
    ) -> None:
        self._directory = directory
        self._records = records
        self._limit = limit_bytes
        self._readers = readers
        self._check_room = check_room
        self._uses = uses
        self._shared = shared
        self._accepting = threading.Lock()
        self._held = threading.Semaphore(_HELD_AT_ONCE)
        # The readers take files as they come; those who upload them take turns.
        self._reading = FairSemaphore(AT_ONCE)
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def limit_bytes(self) -> int:
        """The size of the largest file."""
        return self._limit

    async def receive(
        self,
        name: str,
        chunks: AsyncIterator[bytes],
        declared_bytes: int = 0,
        check: Check | None = None,
        by: Requester = STUDIO,
    ) -> Dataset:
        """Store an upload. Raises `DataError` when it is unreadable or too large, and keeps nothing of it.

        One whose `declared_bytes` are too many is refused before anything of it is read. `check` says what its rows are
        read as. Raises `DiskFullError` while there is no room.
        """
        async with self._arriving(name, chunks, declared_bytes) as arrived, self._reading.awaited(by):
            check = check or check_examples()
            found = await self._readers.read_async(arrived.path, check)
            task = check.task if isinstance(check, ReadItems) else ""
            return await asyncio.to_thread(self._accept, arrived, Checked(found.rows, found.summary, task))

    async def problems(
        self,
        name: str,
        chunks: AsyncIterator[bytes],
        declared_bytes: int,
        mapping: ColumnMapping,
        by: Requester = STUDIO,
    ) -> IO[str]:
        """Everything that is wrong with an upload, of which nothing is kept: CSV, in a file that goes when closed."""
        async with self._arriving(name, chunks, declared_bytes) as arrived, self._reading.awaited(by):
            with self._partial(".csv") as found:
                await self._readers.read_async(arrived.path, ListProblems(mapping=plain_mapping(mapping), into=found))
                # Its name goes, and its content with the last who reads it.
                return found.open(encoding="utf-8", newline="")

    def fetch(
        self, source: HubSource, admit: Callable[[int], None] = lambda _: None, by: Requester = STUDIO
    ) -> Dataset:
        """Store a split of a data set of the Hub, as one file. Takes as long as the download: call it from a thread.

        Raises `DataError` where the Hub cannot be asked, there is too much of it, or a row cannot be used, and what
        `admit` raises for a number of bytes: the Hub's, before anything is fetched, and those of the one file.
        """
        from gift_core.data.hub import fetch_split, is_here, is_offline, origin_of

        if is_offline() and not is_here(source):
            raise DataError(
                f"This studio is kept off the network, so it cannot fetch {source.dataset}.",
                field="data.source.dataset",
                remedy="Download the file from the Hub and upload the file, or start the studio with HF_HUB_OFFLINE=0.",
            )
        self._check_room()
        files, parts = fetch_split(source, self._limit, admit)
        with self._partial(parts[0].suffix.lower() if len(parts) == 1 else ".jsonl") as partial:
            join = JoinParts(others=tuple(parts[1:]), into=partial, most_bytes=self._limit)
            with self._reading.held(by):
                joined = self._readers.read(parts[0], join)
            if not joined.is_whole:
                # Rows take more room as JSONL than they did as Parquet.
                raise self._too_large(source.dataset)
            size = partial.stat().st_size
            admit(size)
            with self._reading.held(by):
                found = self._readers.read(partial, check_examples(source)).summary
            assert found, "examples have a summary"
            summary = found.model_copy(update={"origin": origin_of(source, files)})
            with partial.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
            label = f"{source.dataset} {source.split}{partial.suffix}"
            arrived = _Arrived(partial, label, size, _digest(digest, partial.suffix))
            return self._accept(arrived, Checked(summary.rows, summary))

    def fetched(self, source: HubSource) -> Dataset | None:
        """Return the newest data set that was fetched from this split, at its commit if it names one; else None."""
        return self.fetched_each([source])[0]

    def fetched_each(self, sources: Sequence[HubSource]) -> list[Dataset | None]:
        """The same for each of several splits."""
        fetched = [
            (dataset, (dataset.summary or {})["origin"]) for dataset in self._records.list() if _has_origin(dataset)
        ]
        return [next((dataset for dataset, origin in fetched if _is_of(origin, each)), None) for each in sources]

    @contextmanager
    def held(self, source: TaskSource | FileSource | HubSource) -> Iterator[None]:
        """Within the block the examples of a source may be in memory, to be checked; files wait for their turn.

        What was taken in has been read with the server's bounds, so each takes a known size at the most.
        """
        with nullcontext() if isinstance(source, TaskSource) else self._held:
            yield

    def path(self, dataset_id: str) -> Path:
        """The data set's file; raises `DataError` where there is none."""
        dataset = self.get(dataset_id)
        file = self._file(dataset)
        if self._shared and not file.exists():
            self._shared.bring_dataset(dataset.id)
        if not file.exists():
            raise DataError(
                f"The file of {dataset.name} is not here.",
                field="data.source.dataset",
                remedy="Upload it again: it is the same data set.",
            )
        return file

    def get(self, dataset_id: str) -> Dataset:
        """Raises `DataError` when there is no such data set."""
        dataset = self._records.get(dataset_id)
        if dataset is None:
            raise DataError(
                "Unknown data set.",
                field="data.source.dataset",
                remedy="Choose one from the list of data sets, or upload the file again.",
            )
        return dataset

    def known(self, dataset_id: str) -> Dataset | None:
        return self._records.get(dataset_id)

    def find(self, dataset_id: str) -> Dataset:
        """The same for who asks for the data set itself; raises `NotFoundError`."""
        dataset = self._records.get(dataset_id)
        if dataset is None:
            raise NotFoundError(f"There is no data set {dataset_id!r}.", remedy="Pick one from the list.")
        return dataset

    def page(self, limit: int, after: tuple[float, str] | None = None, text: str | None = None) -> Sequence[Dataset]:
        """See `DatasetRecords.page`."""
        return self._records.page(limit, after, text)

    def list(self) -> Sequence[Dataset]:
        return self._records.list()

    def delete(self, dataset_id: str) -> None:
        """Remove a data set; raises `ConflictError` while a run that has not ended needs it."""
        dataset = self.find(dataset_id)
        if needed := self._uses(dataset_id):
            raise ConflictError(
                f"{len(needed)} runs that have not ended learn from this data set: {', '.join(needed[:3])}"
                f"{', ...' if len(needed) > 3 else ''}.",
                field="dataset",
                remedy="Stop them first, or wait until they have ended.",
            )
        if self._shared:
            # First: where it cannot be reached now, the data set can be deleted later.
            self._shared.remove_dataset(dataset.id)
        self._records.remove(dataset.id)
        self._file(dataset).unlink(missing_ok=True)

    def _file(self, dataset: Dataset) -> Path:
        return self._directory / f"{dataset.id}{dataset.suffix}"

    @asynccontextmanager
    async def _arriving(self, name: str, chunks: AsyncIterator[bytes], declared_bytes: int) -> AsyncIterator[_Arrived]:
        """A file as it comes in, which is gone afterwards unless it was moved."""
        label = _label(name)
        suffix = PurePosixPath(label).suffix.lower()
        if suffix not in SUFFIXES:
            raise unknown_kind(label[:_LABEL_LENGTH])
        if declared_bytes > self._limit:
            raise self._too_large(label[:_LABEL_LENGTH])
        await asyncio.to_thread(self._check_room)
        with self._partial(suffix) as partial:
            digest, size, looked = hashlib.sha256(), 0, 0
            # Unbuffered, so that a disk that is full says so here.
            with partial.open("wb", buffering=0) as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > self._limit:
                        raise self._too_large(label[:_LABEL_LENGTH])
                    if size - looked > _LOOK_BYTES:
                        looked = size
                        await asyncio.to_thread(self._check_room)
                    digest.update(chunk)
                    await asyncio.to_thread(_write_all, file, chunk)
            yield _Arrived(partial, label[:_LABEL_LENGTH], size, _digest(digest, suffix))

    @contextmanager
    def _partial(self, suffix: str) -> Iterator[Path]:
        handle, name = tempfile.mkstemp(prefix=".partial-", suffix=suffix, dir=self._directory)
        os.close(handle)
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def _accept(self, arrived: _Arrived, checked: Checked) -> Dataset:
        """Keep a file that can be used, and return its record: the one for this reading of it."""
        # One at a time: two readings of one file would otherwise take the same id.
        with self._accepting:
            known = self._known(arrived, checked)
            dataset = Dataset(
                id=known.id if known else self._free_id(arrived, checked),
                name=arrived.label,
                suffix=arrived.path.suffix,
                bytes=arrived.bytes,
                rows=checked.rows,
                summary=checked.summary.model_dump(mode="json") if checked.summary else None,
                fingerprint=checked.summary.fingerprint if checked.summary else "",
                task=checked.task,
            )
            sync(arrived.path)
            kept = arrived.path.replace(self._file(dataset))
            # Before anybody can ask for it: a worker on another host needs the file.
            if self._shared:
                self._shared.keep_dataset(kept)
            return self._records.update(dataset) if known else self._records.add(dataset)

    def _known(self, arrived: _Arrived, checked: Checked) -> Dataset | None:
        """Return the record of the same bytes in the same reading; also one of rows that had no summary yet."""
        for identity in arrived.ids(checked.reading):
            known = self._records.get(identity)
            if known and (_reading_of(known) == checked.reading or _is_undescribed(known, checked)):
                return known
        return None

    def _free_id(self, arrived: _Arrived, checked: Checked) -> str:
        return next(identity for identity in arrived.ids(checked.reading) if self._records.get(identity) is None)

    def _too_large(self, label: str) -> TooLargeError:
        return TooLargeError(
            f"{label} is larger than the {self._limit / _MEGABYTE:.3g} MB limit.",
            field="data.source.dataset",
            remedy="Upload fewer rows, or train from the file itself on the command line with `gift train`.",
        )


def _write_all(file: RawIOBase, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) or 0 :]


def _reading_of(dataset: Dataset) -> str:
    """Return the reading of a stored data set, "" if its summary is of a version that is no longer read."""
    try:
        summary = DatasetSummary.model_validate(dataset.summary) if dataset.summary else None
    except ValidationError:
        return ""
    return Checked(dataset.rows, summary, dataset.task).reading


def _has_origin(dataset: Dataset) -> bool:
    return bool(dataset.summary and dataset.summary.get("origin"))


def _is_of(origin: Mapping[str, Any], source: HubSource) -> bool:
    """Whether a stored origin is the split that is asked for; of a branch or a tag only the Hub knows the commit."""
    asked = {"repository": source.dataset, "split": source.split, "config": source.config}
    is_same = all(origin.get(name) == value for name, value in asked.items())
    return is_same and source.revision in (None, origin.get("revision"))


def _is_undescribed(dataset: Dataset, checked: Checked) -> bool:
    """Whether an upload of rows describes a data set that an older version stored without a summary."""
    return dataset.summary is None and not dataset.task and not checked.task


def _digest(digest: hashlib._Hash, suffix: str) -> str:
    digest.update(suffix.encode())
    return digest.hexdigest()


def _id(digest: str) -> str:
    return f"ds_{digest[:16]}"


def _label(name: str) -> str:
    """The name as it is shown: its last part, cleaned. It never becomes a path."""
    return clean_name(name.replace("\\", "/").rsplit("/", 1)[-1])
