"""Rows of evaluation problems from a file or from the Hub: all can be used, or every unusable one is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TypeVar

from gift_core.data.files import SUFFIXES, Row, read_each, read_rows, unreadable
from gift_core.errors import DataError, Problem
from gift_core.models.hub import HubName, first_line, refusal
from gift_core.tasks.items import FileItems, HubItems

T = TypeVar("T")
_PARQUET = ".parquet"
_SHOWN = 20


def read_file(source: FileItems, read: Callable[[Mapping[str, object]], T]) -> list[T]:
    """What `read` makes of each row. Raises `DataError` that lists what is wrong."""
    return _read(source.path, source.first, read, "source.path")


def read_hub(source: HubItems, dataset: str, file: str, read: Callable[[Mapping[str, object]], T]) -> list[T]:
    """The same for a file of the Hub, `file` of `dataset` unless the source names others."""
    name = HubName.parse(source.dataset or dataset)
    assert name, "both were checked"
    return _read(_fetched(name, source.file or file), source.first, read, "source.file")


def text_of(row: Mapping[str, object], *columns: str) -> str:
    """The text under the first of these names that the row has. Raises `DataError` where it is missing or empty."""
    name = next((column for column in columns if column in row), None)
    if name is None:
        names = ", ".join(f'"{column[:40]}"' for column in list(row)[:_SHOWN])
        raise DataError(
            f'The row has no column "{columns[0]}"; it has {names or "none"}.',
            remedy="Add it, or rename the one meant.",
        )
    value = row[name]
    text = str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    if not text.strip():
        raise DataError(f'Column "{name}" is empty or not text.', remedy="Write text into it, or remove the row.")
    return text.strip()


def _read(path: Path, first: int | None, read: Callable[[Mapping[str, object]], T], field: str) -> list[T]:
    if path.suffix.lower() not in (*SUFFIXES, _PARQUET):
        raise DataError(
            f"{path.name or 'The file'} is not a kind of file that can be read.",
            field=field,
            remedy=f"Use one of {', '.join((*SUFFIXES, _PARQUET))}, named by the file's ending.",
        )
    rows = _parquet_rows(path, field) if path.suffix.lower() == _PARQUET else read_rows(path, field)

    def read_row(_: int, row: object) -> T:
        if not isinstance(row, dict):
            raise DataError("The row is not an object.", remedy='Write it as an object: {"question": "...", ...}.')
        return read(row)

    values = read_each(islice(rows, first), read_row)
    if not values:
        raise DataError(f"{path.name} has no rows.", field=field, remedy="Add at least one problem.")
    return values


def _parquet_rows(path: Path, field: str) -> Iterator[Row]:
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise DataError(
            f"{path.name} is not a Parquet file that can be read: {first_line(error)}",
            field=field,
            remedy="Write it again, or as JSONL.",
        ) from error
    except OSError as error:
        raise unreadable(path, error, field) from error


def _fetched(name: HubName, file: str) -> Path:
    """A file of a data set, from the local cache where it lies there and the Hub cannot be reached."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(name.repository, file, repo_type="dataset", revision=name.revision))
    # Errors of the connection come from whichever client the package uses, and share no class of their own.
    except Exception as error:
        refused = refusal(error, name, "data set")
        if not refused and isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
            refused = Problem(f"{name.repository} has no file {file}.", remedy="Check its name on the data set's page.")
        refused = refused or Problem(
            f"{name.repository} cannot be downloaded: {first_line(error)}",
            remedy="Check the connection and run it again. Or bring the file here and give its path.",
        )
        raise DataError(refused.message, field="source.dataset", remedy=refused.remedy) from error
