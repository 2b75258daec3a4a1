"""The rows of JSONL, JSON, CSV and Parquet files, one by one: what stands in a row, or why it cannot be read."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from gift_core.data.limits import DEEPEST_NESTING, LONGEST_CSV_LINE, LONGEST_ROW, MOST_COLUMNS
from gift_core.data.sniffing import require_text
from gift_core.data.texts import printable
from gift_core.errors import DataError

# The row's number as the user counts, and what stands there or why it cannot be read.
Row = tuple[int, "object | DataError"]

_NOT_READ = "the rows after it were not read."
_SPACE = re.compile(r"[ \t\n\r]*")
_PIECE = 2**16
# -Infinity and \\u0000 are the longest that cannot be told before they are whole.
_LONGEST_WORD = 16


def text_rows(path: Path, rows_of: Callable[[TextIO], Iterator[Row]]) -> Iterator[Row]:
    """The rows of a text file; raises `DataError` where it is not text in UTF-8."""
    require_text(path)
    # newline="" leaves line ends inside quoted CSV cells alone.
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from rows_of(file)


def jsonl_rows(file: TextIO) -> Iterator[Row]:
    decoder = _decoder()
    for number, line in enumerate(_lines(file, LONGEST_ROW), 1):
        if line is None:
            yield number, _too_long("The line", LONGEST_ROW)
            continue
        text = line.strip()
        if not text:
            continue
        if text == "[" and number == 1:
            raise DataError("The file is a JSON array, though it is named .jsonl.", remedy="Name it .json.")
        row: object | DataError
        try:
            row = checked(decoder.decode(line))
        except (ValueError, RecursionError) as error:
            row = _not_json(error, "Write one complete JSON object on each line.")
        yield number, row


def json_rows(file: TextIO) -> Iterator[Row]:
    number = 0
    try:
        for number, row in enumerate(_elements(_Window(file)), 1):
            yield number, checked(row)
    except (ValueError, RecursionError) as error:
        yield number + 1, _not_json(error, f"Correct it; {_NOT_READ}")


def csv_rows(file: TextIO) -> Iterator[Row]:
    reader = csv.reader(_csv_lines(file), strict=True)
    number = 0
    try:
        records = (cells for cells in reader if cells)
        header = _header(next(records, []))
        for number, cells in enumerate(records, 1):
            row: object = dict(zip(header, cells, strict=False))
            if len(cells) != len(header):
                row = DataError(
                    f"The row has {len(cells)} cells, but the header has {len(header)}.",
                    remedy='Put cells that contain commas or line breaks in double quotes: "a, b".',
                )
            yield number, row
    except csv.Error as error:
        remedy = f"Correct the quotes, or use JSONL for very long texts; {_NOT_READ}"
        yield number + 1, DataError(f"Line {reader.line_num} is not CSV: {error}.", remedy=remedy)


def json_value(text: str) -> object:
    """Return the value of a JSON text, read as a row's values are; raises `DataError` that says why it cannot be."""
    try:
        value = checked(_decoder().decode(text))
    except (ValueError, RecursionError) as error:
        remedy = "Write it as JSON: names and texts in double quotes, as json.dumps does."
        value = _not_json(error, remedy, what="The text")
    if isinstance(value, DataError):
        raise value
    return value


def checked(row: object) -> object | DataError:
    """Return the row, or what is wrong with it: too many columns, too deep nesting, one name twice in an object."""
    if isinstance(row, dict) and len(row) > MOST_COLUMNS:
        return _too_many_columns(f"The row has {len(row):,} columns")
    level = [row] if isinstance(row, dict | list) else []
    for _ in range(DEEPEST_NESTING):
        if not level:
            return row
        for value in level:
            if isinstance(value, RepeatedName):
                return value.error()
        level = [inner for value in level for inner in _inside(value) if isinstance(inner, dict | list)]
    return _nested_too_deeply() if level else row


class RepeatedName(dict[str, object]):
    """An object in which a name occurs twice, so that one of the two values would be lost."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def error(self) -> DataError:
        return DataError(
            f'The name "{printable(self._name)[:40]}" occurs twice in one object.',
            remedy="Rename or delete one of them.",
        )


def object_of(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """Return an object's names and values, as a `RepeatedName` if a name occurs twice."""
    values = dict(pairs)
    if len(values) == len(pairs):
        return values
    return RepeatedName(next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1))


def _inside(value: dict[str, object] | list[object]) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value


class _Window:
    """A text of any length, of which only the part that is being read is held."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.text, self.at, self.complete = "", 0, False
        # Lines and characters that have gone, to say where a mistake is.
        self._lines, self._column = 0, 0

    def grow(self) -> None:
        """Read on, as much again as there is; raises a `ValueError` where one row takes more than is allowed."""
        gone = self.text[: self.at]
        if "\n" in gone:
            self._lines, self._column = self._lines + gone.count("\n"), 0
        self._column += len(gone) - gone.rfind("\n") - 1
        self.text, self.at = self.text[self.at :], 0
        if len(self.text) > LONGEST_ROW:
            raise _TooLongError
        piece = self._file.read(max(_PIECE, len(self.text)))
        self.text, self.complete = self.text + piece, not piece

    def next(self) -> str:
        """The next character that is no space, "" at the end."""
        while True:
            found = _SPACE.match(self.text, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.text) or self.complete:
                return self.text[self.at : self.at + 1]
            self.grow()

    def element(self, decoder: json.JSONDecoder) -> object:
        """The JSON value that begins here."""
        while True:
            try:
                value, end = decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                if self.complete or not self._may_go_on(error):
                    raise
            else:
                # A number may go on in what has not been read.
                if end < len(self.text) or self.complete:
                    self.at = end
                    return value
            self.grow()

    def _may_go_on(self, error: json.JSONDecodeError) -> bool:
        """Whether it may be the end of what was read, and not the text, that `error` is about."""
        return error.msg.startswith("Unterminated string") or error.pos > len(self.text) - _LONGEST_WORD

    def where(self, position: int) -> str:
        """A position of `text` as line and column of the file."""
        before = self.text[:position]
        line = self._lines + before.count("\n") + 1
        column = len(before) - before.rfind("\n") + (0 if "\n" in before else self._column)
        return f"line {line}, column {column}" if line > 1 else f"column {column}"


class _TooLongError(ValueError):
    """A row of more characters than are taken in."""


class _NotJsonError(ValueError):
    """What is wrong, with its place in the file."""


def _elements(window: _Window) -> Iterator[object]:
    """A JSON array's elements one by one: all at once they would take far more room than the text."""
    decoder = _decoder()
    if window.next() != "[":
        raise DataError(
            "The file is not a JSON array.",
            remedy="Write [{...}, {...}], or name the file .jsonl when it has one object on each line.",
        )
    try:
        window.at += 1
        if window.next() != "]":
            while True:
                yield window.element(decoder)
                if window.next() != ",":
                    break
                window.at += 1
                window.next()
        if window.next() != "]":
            raise json.JSONDecodeError("Expecting , or ]", window.text, window.at)
        window.at += 1
        if window.next():
            raise json.JSONDecodeError("Expecting nothing after the array", window.text, window.at)
    except json.JSONDecodeError as error:
        raise _NotJsonError(f"{error.msg} at {window.where(error.pos)}") from error


def _lines(file: TextIO, longest: int) -> Iterator[str | None]:
    """Lines without more than `longest` characters; None stands for a longer one."""
    while line := file.readline(longest + 1):
        too_long = len(line) > longest
        while len(line) > longest and not line.endswith("\n"):
            line = file.readline(longest + 1)
        yield None if too_long else line


def _csv_lines(file: TextIO) -> Iterator[str]:
    for line in _lines(file, LONGEST_CSV_LINE):
        if line is None:
            raise csv.Error(f"it has more than {LONGEST_CSV_LINE:,} characters")
        yield line


def _header(names: list[str]) -> list[str]:
    if len(names) > MOST_COLUMNS:
        raise _too_many_columns(f"The header has {len(names):,} columns")
    for name, count in Counter(names).items():
        if count > 1:
            raise DataError(
                f'The header names the column "{printable(name)[:40]}" twice.',
                field="header",
                remedy="Rename one of them.",
            )
    return names


def _decoder() -> json.JSONDecoder:
    """Return a decoder that keeps a number's text, so that none is rounded or too long, and takes NaN for null."""
    return json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=lambda _: None, object_pairs_hook=object_of)


def _not_json(error: ValueError | RecursionError, remedy: str, what: str = "The row") -> DataError:
    if isinstance(error, RecursionError):
        return _nested_too_deeply()
    if isinstance(error, _TooLongError):
        return _too_long("The row", LONGEST_ROW)
    if isinstance(error, json.JSONDecodeError):
        where = f"line {error.lineno}, column" if error.lineno > 1 else "column"
        return DataError(f"{what} is not JSON: {error.msg} at {where} {error.colno}.", remedy=remedy)
    return DataError(f"{what} is not JSON: {error}.", remedy=remedy)


def _too_long(what: str, most: int) -> DataError:
    return DataError(f"{what} has more than {most:,} characters.", remedy="Split it, or delete the row.")


def _too_many_columns(what: str) -> DataError:
    return DataError(f"{what}; the most is {MOST_COLUMNS:,}.", remedy="Keep those that are learned from.")


def _nested_too_deeply() -> DataError:
    return DataError("The row is nested too deeply.", remedy="Keep prompt and response as plain strings.")
