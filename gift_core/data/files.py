"""Examples from JSONL, JSON, CSV and Parquet files. A file is taken whole or refused with every unusable row named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TextIO, TypeVar

from gift_core.data.csv_rows import csv_rows
from gift_core.data.examples import Example
from gift_core.data.formats import Row, json_rows, jsonl_rows, text_rows
from gift_core.data.layouts import FOUND_BY_NAME, Layout, find_layout, require_object
from gift_core.data.limits import LONGEST_NAME, MOST_COLUMNS, MOST_ROWS, MOST_UNPACKED
from gift_core.data.parquet import parquet_rows
from gift_core.data.sniffing import PARQUET, require_kind
from gift_core.data.texts import file_name, printable
from gift_core.data.unpacked import TooMuchUnpackedError, Unpacked
from gift_core.data_spec import ColumnMapping
from gift_core.errors import DataError, Problem

# Of the rows that cannot be used, as many as a message has room for.
SHOWN_PROBLEMS = 20
_FIELD = "data.source.dataset"
_CSV = ".csv"
_TEXT: dict[str, Callable[[TextIO], Iterator[Row]]] = {
    ".jsonl": jsonl_rows,
    ".ndjson": jsonl_rows,
    ".json": json_rows,
    _CSV: csv_rows,
}
SUFFIXES = (*_TEXT, PARQUET)

T = TypeVar("T")


@dataclass(frozen=True)
class FileContents:
    """What a file holds: `columns` are those of all rows in order of appearance; an example's id is its row."""

    columns: list[str]
    layout: Layout
    examples: list[Example]


class Table:
    """The rows of one or several files, and the names of all their columns.

    Whatever the order of the rows, the columns are the same: files that name columns in each row are read once for
    the names, and again for the rows. An unreadable file raises `DataError`. A row is a line of JSONL, an element of a
    JSON array, a record of a CSV after its header or of Parquet, counted from 1; rows of several files, the parts of
    one data set, are counted through.
    """

    def __init__(self, *paths: Path, most_bytes: int = MOST_UNPACKED) -> None:
        self._paths = paths
        self._most_bytes = most_bytes
        self._note = " (header not counted)" if paths[0].suffix.lower() == _CSV else ""
        self.columns, self._has_objects = _columns(paths, most_bytes)

    def layout(self, mapping: ColumnMapping) -> Layout:
        """Where prompt and response are; raises `DataError`."""
        # Without a single object the rows themselves are the problem, and any layout will say so.
        return find_layout(self.columns, mapping) if self._has_objects else Layout("pairs", "prompt", "response")

    def examples(self, layout: Layout, shown: int = SHOWN_PROBLEMS) -> list[Example]:
        """All rows as examples; raises one `DataError` that lists up to `shown` of those that cannot be used."""
        rest = "`gift check-data` lists all of them."
        read = partial(_counted_example, layout, Unpacked(self._most_bytes, _FIELD))
        return read_each(self._rows(), read, self._note, shown, rest)

    def count(self, shown: int = SHOWN_PROBLEMS) -> int:
        """How many rows there are; raises one `DataError` where some are no objects."""
        return len(read_each(self._rows(), _number_of_object, self._note, shown))

    def problems(self, layout: Layout) -> Iterator[Problem]:
        """What is wrong with each row that cannot be used, one by one, however many there are."""
        for number, row in self._rows():
            read = _read(partial(_example, layout), number, row, self._note)
            if isinstance(read, Problem):
                yield read

    def _rows(self) -> Iterator[Row]:
        return _numbered(self._paths, _FIELD, self._most_bytes)


def read_examples(
    path: Path | Sequence[Path], mapping: ColumnMapping = FOUND_BY_NAME, shown: int = SHOWN_PROBLEMS
) -> FileContents:
    """Read a .jsonl, .ndjson, .json (array of objects), .csv or .parquet file, or the parts of one; text is UTF-8.

    Columns are found by name (see `layouts`) unless given. A number is taken as its text. Raises `DataError` that lists
    what is wrong: the file, its columns, or up to `shown` of its rows and how many more there are.
    """
    table = Table(*([path] if isinstance(path, Path) else path))
    layout = table.layout(mapping)
    return FileContents(table.columns, layout, table.examples(layout, shown))


def read_rows(path: Path, field: str, most_bytes: int = MOST_UNPACKED) -> Iterator[Row]:
    """The rows of such a file one by one; `DataError` as `read_examples` raises it, about the `field` that named it."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise unknown_kind(file_name(path), field)
    return _rows(path, suffix, field, most_bytes)


def read_each(
    rows: Iterable[Row],
    read: Callable[[int, object], T],
    note: str = "",
    shown: int = SHOWN_PROBLEMS,
    rest: str = "",
) -> list[T]:
    """What `read` makes of each row and its number.

    Raises one `DataError` that lists up to `shown` rows it refused and counts the others, of which `rest` says more.
    """
    values: list[T] = []
    problems: list[Problem] = []
    refused = 0
    for number, row in rows:
        value = _read(read, number, row, note)
        if not isinstance(value, Problem):
            values.append(value)
            continue
        refused += 1
        # What could be read is of no use any more.
        values.clear()
        if refused <= shown:
            problems.append(value)
    if refused > shown:
        problems.append(Problem(f"and {refused - shown:,} more rows.", remedy=rest))
    if problems:
        raise DataError.of(problems)
    return values


def unreadable(path: Path, error: OSError, field: str) -> DataError:
    return DataError(
        f"{file_name(path)} cannot be read: {error.strerror or error}.",
        field=field,
        remedy="Check that it exists and may be read.",
    )


def unknown_kind(name: str, field: str = _FIELD) -> DataError:
    """The error for a file name whose suffix is not one of `SUFFIXES`."""
    remedy = f"Use one of {', '.join(SUFFIXES)}, named by the file's ending."
    if name.lower().endswith((".tsv", ".tab")):
        remedy = "Name it .csv: cells that are separated by tabs are read too."
    return DataError(f"{name or 'The file'} is not a kind of file that can be read.", field=field, remedy=remedy)


def _number_of_object(number: int, row: object) -> int:
    require_object(row)
    return number


def _example(layout: Layout, number: int, row: object) -> Example:
    return Example(number, *layout.read(row))


def _counted_example(layout: Layout, unpacked: Unpacked, number: int, row: object) -> Example:
    example = _example(layout, number, row)
    unpacked.add_example(example)
    return example


def _read(read: Callable[[int, object], T], number: int, row: object | DataError, note: str) -> T | Problem:
    try:
        if isinstance(row, DataError):
            raise row
        return read(number, row)
    except TooMuchUnpackedError:
        # The file's problem, and not this row's.
        raise
    except DataError as error:
        return replace(error.problems[0], field=f"row {number}{note}")


def _columns(paths: Sequence[Path], most_bytes: int) -> tuple[list[str], bool]:
    """Return the names of all columns in order of appearance, and whether any row is an object."""
    names: dict[str, None] = {}
    has_rows = has_objects = False
    before = 0
    for path in paths:
        number = 0
        for number, row in _part(path, before, len(paths) > 1, _FIELD, most_bytes):
            has_rows = True
            if not isinstance(row, dict):
                continue
            has_objects = True
            if not row.keys() <= names.keys():
                names.update(dict.fromkeys(row))
                _require_few(names, number)
            if path.suffix.lower() in (PARQUET, _CSV):
                # All rows have the names of the header.
                break
        before = max(before, number)
    if not has_rows:
        raise DataError("The file has no rows.", remedy="Add at least one example.")
    return list(dict.fromkeys(printable(str(name)) for name in names)), has_objects


def _require_few(names: Mapping[str, None], number: int) -> None:
    """Raise `DataError` about the row with which the names of the columns become too many or too long to be held."""
    longest = max(map(len, names), default=0)
    if len(names) > MOST_COLUMNS:
        what = f"The rows up to this one name {len(names):,} columns; the most is {MOST_COLUMNS:,}."
    elif longest > LONGEST_NAME:
        what = f"The row has a column whose name has {longest:,} characters; the most is {LONGEST_NAME:,}."
    else:
        return
    raise DataError(
        what,
        field=f"row {number}",
        remedy="Keep the columns that are learned from. A column's name is the same in all rows.",
    )


def _numbered(paths: Sequence[Path], field: str, most_bytes: int) -> Iterator[Row]:
    before = 0
    for path in paths:
        number = before
        for number, row in _part(path, before, len(paths) > 1, field, most_bytes):
            yield number, row
        before = number


def _part(path: Path, before: int, is_one_of_several: bool, field: str, most_bytes: int) -> Iterator[Row]:
    """Yield the rows of a file, counted on from those `before` it."""
    try:
        for number, row in read_rows(path, field, most_bytes):
            if before + number > MOST_ROWS:
                raise DataError(
                    f"The file has more than {MOST_ROWS:,} rows.", field=field, remedy="Split it, or sample from it."
                )
            yield before + number, row
    except DataError as error:
        if not is_one_of_several:
            raise
        raise type(error).of([replace(p, message=f"{path.name}: {p.message}") for p in error.problems]) from error


def _rows(path: Path, suffix: str, field: str, most_bytes: int) -> Iterator[Row]:
    try:
        require_kind(path, suffix, field)
        yield from parquet_rows(path, field, most_bytes) if suffix == PARQUET else text_rows(path, _TEXT[suffix])
    except OSError as error:
        raise unreadable(path, error, field) from error
