"""Rows of evaluation problems from a file or from the Hub: all can be used, or every unusable one is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import TypeVar

from gift_core.data.files import read_each, read_rows
from gift_core.data.hub import fetch_file
from gift_core.errors import DataError
from gift_core.models.hub import HubName
from gift_core.tasks.items import FileItems, HubItems

T = TypeVar("T")
_SHOWN = 20
# Of a file of the Hub: the largest benchmark has two. A request must not fill the disk.
MOST_BYTES = 100 * 2**20


def read_file(source: FileItems, read: Callable[[Mapping[str, object]], T]) -> list[T]:
    """What `read` makes of each row. Raises `DataError` that lists what is wrong."""
    return _read(source.path, source.first, read, "source.path")


def read_hub(source: HubItems, dataset: str, file: str, read: Callable[[Mapping[str, object]], T]) -> list[T]:
    """The same for a file of the Hub, `file` of `dataset` unless the source names others."""
    name = HubName.parse(source.dataset or dataset)
    assert name, "both were checked"
    return _read(fetch_file(name, source.file or file, "source.dataset", MOST_BYTES), source.first, read, "source.file")


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
    rows = read_rows(path, field)

    def read_row(_: int, row: object) -> T:
        if not isinstance(row, dict):
            raise DataError("The row is not an object.", remedy='Write it as an object: {"question": "...", ...}.')
        return read(row)

    values = read_each(islice(rows, first), read_row)
    if not values:
        raise DataError(f"{path.name} has no rows.", field=field, remedy="Add at least one problem.")
    return values
