"""Rows of evaluation problems from a file or from the Hub: all can be used, or every unusable one is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import TypeVar

from gift_core.data import texts
from gift_core.data.files import read_each, read_rows
from gift_core.data.hub import fetch_file
from gift_core.data.texts import file_name, is_missing, printable
from gift_core.errors import DataError
from gift_core.models.hub import HubName
from gift_core.tasks.items import FileItems, HubItems

T = TypeVar("T")
_SHOWN = 20
# Of a file of the Hub: the largest benchmark has two. A request must not fill the disk.
MOST_BYTES = 100 * 2**20
# Of all rows once they are unpacked: a server reads them itself when an evaluation is asked for.
_MOST_UNPACKED = 10 * MOST_BYTES


def read_file(source: FileItems, read: Callable[[Mapping[str, object]], T]) -> list[T]:
    """What `read` makes of each row. Raises `DataError` that lists what is wrong."""
    return _read(source.path, source.first, read, "source.path")


def read_hub(source: HubItems, dataset: str, file: str, read: Callable[[Mapping[str, object]], T]) -> list[T]:
    """The same for a file of the Hub, `file` of `dataset` unless the source names others."""
    name = HubName.parse(source.dataset or dataset)
    assert name, "both were checked"
    return _read(fetch_file(name, source.file or file, "source.dataset", MOST_BYTES), source.first, read, "source.file")


def text_of(row: Mapping[str, object], *columns: str) -> str:
    """Return the text under the first of these names that has a value in the row.

    A value becomes text as in a data set to learn from. Raises `DataError` if there is none, or if it is not text.
    """
    name = column_of(row, *columns)
    return texts.text_of(row[name], f'Column "{name}"').strip()


def column_of(row: Mapping[str, object], *columns: str) -> str:
    """Return the first of these names that has a value in the row, or else that the row has; raises `DataError`.

    Parquet and CSV give each row all names, so that a name alone does not say which of them a row uses.
    """
    known = [column for column in columns if column in row]
    if not known:
        names = ", ".join(f'"{printable(str(column))[:40]}"' for column in list(row)[:_SHOWN])
        raise DataError(
            f'The row has no column "{columns[0]}"; it has {names or "none"}.',
            remedy="Add it, or rename the one meant.",
        )
    return next((column for column in known if not is_missing(row[column])), known[0])


def _read(path: Path, first: int | None, read: Callable[[Mapping[str, object]], T], field: str) -> list[T]:
    rows = read_rows(path, field, _MOST_UNPACKED)

    def read_row(_: int, row: object) -> T:
        if not isinstance(row, dict):
            raise DataError("The row is not an object.", remedy='Write it as an object: {"question": "...", ...}.')
        return read(row)

    values = read_each(islice(rows, first), read_row)
    if not values:
        raise DataError(f"{file_name(path)} has no rows.", field=field, remedy="Add at least one problem.")
    return values
