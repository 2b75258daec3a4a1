"""Examples from JSONL, JSON and CSV files. A file is taken whole or refused with every unusable row named."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import NoReturn, TextIO, TypeVar

from gift_core.data.examples import Example
from gift_core.data.layouts import Layout, find_layout
from gift_core.errors import DataError, Problem

_PROBLEMS_SHOWN = 20
_ROWS_FOR_LAYOUT = 100
_NOT_READ = "the rows after it were not read."
_SPACE = re.compile(r"[ \t\n\r]*")
_FIELD = "data.source.dataset"

T = TypeVar("T")
# The row's number as the user counts, and what stands there or why it cannot be read.
Row = tuple[int, "object | DataError"]


@dataclass(frozen=True)
class FileContents:
    """What a file holds: `columns` are those of its first hundred rows, an example's id is its row."""

    columns: list[str]
    prompt_column: str
    response_column: str
    examples: list[Example]


def read_examples(path: Path, prompt_column: str | None = None, response_column: str | None = None) -> FileContents:
    """Read a .jsonl, .ndjson, .json (array of objects) or .csv file in UTF-8.

    Columns are found by name (see `layouts`) unless given. A row is a line of JSONL, an element of a JSON
    array, a record of a CSV after its header, counted from 1. A number in JSON is taken as its text. Raises
    `DataError` that lists what is wrong: the file, its columns, or up to twenty of its rows.
    """
    rows_of = _reader(path, _FIELD)
    return _contents(_rows(path, rows_of, _FIELD), rows_of is _csv_rows, prompt_column, response_column)


def read_rows(path: Path, field: str) -> Iterator[Row]:
    """The rows of such a file one by one; `DataError` as `read_examples` raises it, about the `field` that named it."""
    return _rows(path, _reader(path, field), field)


def read_each(rows: Iterable[Row], read: Callable[[int, object], T], note: str = "") -> list[T]:
    """What `read` makes of each row and its number. Raises one `DataError` that lists up to twenty it refused."""
    values: list[T] = []
    problems: list[Problem] = []
    refused = 0
    for number, row in rows:
        try:
            if isinstance(row, DataError):
                raise row
            values.append(read(number, row))
        except DataError as error:
            refused += 1
            if refused <= _PROBLEMS_SHOWN:
                problems.append(replace(error.problems[0], field=f"row {number}{note}"))
    if refused > _PROBLEMS_SHOWN:
        problems.append(Problem(f"and {refused - _PROBLEMS_SHOWN:,} more rows."))
    if problems:
        raise DataError.of(problems)
    return values


def _reader(path: Path, field: str) -> Callable[[TextIO], Iterator[Row]]:
    try:
        return _READERS[path.suffix.lower()]
    except KeyError:
        raise unknown_kind(path.name, field) from None


def _rows(path: Path, rows_of: Callable[[TextIO], Iterator[Row]], field: str) -> Iterator[Row]:
    try:
        _require_text(path)
        # newline="" leaves line ends inside quoted CSV cells alone.
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from rows_of(file)
    except OSError as error:
        raise unreadable(path, error, field) from error


def unreadable(path: Path, error: OSError, field: str) -> DataError:
    return DataError(
        f"{path.name} cannot be read: {error.strerror}.", field=field, remedy="Check that it exists and may be read."
    )


def unknown_kind(name: str, field: str = _FIELD) -> DataError:
    """The error for a file name whose suffix is not one of `SUFFIXES`."""
    return DataError(
        f"{name or 'The file'} is not a kind of file that can be read.",
        field=field,
        remedy=f"Use one of {', '.join(SUFFIXES)}, named by the file's ending.",
    )


def _contents(
    rows: Iterator[Row], has_header: bool, prompt_column: str | None, response_column: str | None
) -> FileContents:
    head = list(islice(rows, _ROWS_FOR_LAYOUT))
    if not head:
        raise DataError("The file has no rows.", remedy="Add at least one example.")
    objects = [row for _, row in head if isinstance(row, dict)]
    columns = list(dict.fromkeys(_printable(name) for row in objects for name in row))
    # Without a single object the rows themselves are the problem, and any layout will say so.
    layout = find_layout(columns, prompt_column, response_column) if objects else Layout("prompt", "response")
    examples = read_each(
        chain(head, rows),
        lambda number, row: Example(number, *layout.read(row)),
        note=" (header not counted)" if has_header else "",
    )
    return FileContents(columns, layout.prompt, layout.response, examples)


def _require_text(path: Path) -> None:
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                byte = f"0x{line[error.start]:02x}"
                raise DataError(
                    f"Byte {offset + error.start + 1:,} of the file ({byte}) is not UTF-8 text.",
                    field=f"line {number}",
                    remedy="Save the file as UTF-8 text.",
                ) from error
            if b"\0" in line:
                raise DataError(
                    f"Byte {offset + line.index(0) + 1:,} of the file is NUL, so this is not a text file.",
                    field=f"line {number}",
                    remedy="Save the data as UTF-8 text.",
                )
            offset += len(line)
    if not offset:
        raise DataError("The file is empty.", remedy="Add at least one example.")


def _jsonl_rows(file: TextIO) -> Iterator[Row]:
    decoder = _decoder()
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        row: object | DataError
        try:
            row = decoder.decode(line)
        except (ValueError, RecursionError) as error:
            row = _not_json(error, "Write one complete JSON object on each line.")
        yield number, row


def _json_rows(file: TextIO) -> Iterator[Row]:
    number = 0
    try:
        for number, row in enumerate(_elements(file.read()), 1):
            yield number, row
    except (ValueError, RecursionError) as error:
        yield number + 1, _not_json(error, f"Correct it; {_NOT_READ}")


def _elements(text: str) -> Iterator[object]:
    """A JSON array's elements one by one: all at once they would take far more room than the text."""
    decoder = _decoder()
    at = _past_space(text, 0)
    if not text.startswith("[", at):
        raise DataError(
            "The file is not a JSON array.",
            remedy="Write [{...}, {...}], or name the file .jsonl when it has one object on each line.",
        )
    at = _past_space(text, at + 1)
    if not text.startswith("]", at):
        while True:
            element, at = decoder.raw_decode(text, at)
            yield element
            at = _past_space(text, at)
            if not text.startswith(",", at):
                break
            at = _past_space(text, at + 1)
    if not text.startswith("]", at):
        raise json.JSONDecodeError("Expecting , or ]", text, at)
    end = _past_space(text, at + 1)
    if end != len(text):
        raise json.JSONDecodeError("Expecting nothing after the array", text, end)


def _csv_rows(file: TextIO) -> Iterator[Row]:
    reader = csv.reader(file, strict=True)
    number = 0
    try:
        records = (cells for cells in reader if cells)
        header = next(records, [])
        for name, count in Counter(header).items():
            if count > 1:
                raise DataError(
                    f'The header names the column "{name}" twice.',
                    field="header",
                    remedy="Rename one of them.",
                )
        for number, cells in enumerate(records, 1):
            if len(cells) == len(header):
                yield number, dict(zip(header, cells, strict=True))
            else:
                yield (
                    number,
                    DataError(
                        f"The row has {len(cells)} cells, but the header has {len(header)}.",
                        remedy='Put cells that contain commas or line breaks in double quotes: "a, b".',
                    ),
                )
    except csv.Error as error:
        yield (
            number + 1,
            DataError(
                f"Line {reader.line_num} is not CSV: {error}.",
                remedy=f"Correct the quotes, or use JSONL for very long texts; {_NOT_READ}",
            ),
        )


_READERS: dict[str, Callable[[TextIO], Iterator[Row]]] = {
    ".jsonl": _jsonl_rows,
    ".ndjson": _jsonl_rows,
    ".json": _json_rows,
    ".csv": _csv_rows,
}
SUFFIXES = tuple(_READERS)


def _decoder() -> json.JSONDecoder:
    """Numbers come out as the text that stands in the file: nothing is rounded and no number is too long."""
    return json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _not_json(error: ValueError | RecursionError, remedy: str) -> DataError:
    if isinstance(error, RecursionError):
        return DataError("The row is nested too deeply.", remedy="Keep prompt and response as plain strings.")
    if isinstance(error, json.JSONDecodeError):
        where = f"line {error.lineno}, column" if error.lineno > 1 else "column"
        return DataError(f"The row is not JSON: {error.msg} at {where} {error.colno}.", remedy=remedy)
    return DataError(f"The row is not JSON: {error}.", remedy=remedy)


def _past_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _printable(name: str) -> str:
    """A column's name as it can be shown and sent: JSON may hide half a surrogate pair in it."""
    return name.encode(errors="backslashreplace").decode()
