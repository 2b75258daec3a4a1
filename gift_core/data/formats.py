"""The rows of JSON Lines and JSON files, one by one: what stands in a row, or why it cannot be read."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path, PurePath
from typing import Any, TextIO

from gift_core.data.limits import DEEPEST_NESTING, LONGEST_ROW, MOST_COLUMNS, MOST_VALUES
from gift_core.data.sniffing import require_text
from gift_core.data.texts import printable
from gift_core.data.wrapping import object_error, require_object_lines, table_error
from gift_core.errors import DataError

# The row's number as the user counts, and what stands there or why it cannot be read.
Row = tuple[int, "object | DataError"]

BYTE_ORDER_MARK = "\ufeff"
NOT_READ = "the rows after it were not read."
_SPACE = re.compile(r"[ \t\n\r]*")
_PIECE = 2**16
# Read on in pieces of this size at most: what follows a long row may be many small ones.
_LARGEST_PIECE = 2**20
# What begins another value of a list or an object, and texts, in which it means nothing.
_BEGINNINGS = (",", "[", "{")
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
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
    lines = _lines_with_text(file)
    first = list(islice(lines, 2))
    require_object_lines([line for _, line in first], _suffix(file), decoder)
    for number, line in chain(first, lines):
        yield number, _too_long("The line", LONGEST_ROW) if line is None else _decoded(decoder, number, line)


def _lines_with_text(file: TextIO) -> Iterator[tuple[int, str | None]]:
    for number, line in enumerate(text_lines(file, LONGEST_ROW), 1):
        # Some programs write the mark again when they save a file that has one.
        text = line.lstrip(BYTE_ORDER_MARK) if line and number == 1 else line
        if text is None or text.strip():
            yield number, text


def _suffix(file: TextIO) -> str:
    return PurePath(str(getattr(file, "name", ""))).suffix.lower() or ".jsonl"


def _decoded(decoder: json.JSONDecoder, number: int, line: str) -> object | DataError:
    try:
        # A place after the line's end would be named as line 2.
        return checked(decoder.decode(line.rstrip("\r\n")))
    except (ValueError, RecursionError) as error:
        place = error.pos if isinstance(error, json.JSONDecodeError) else 0
        if BYTE_ORDER_MARK in (line[:1], line[place : place + 1]):
            return joined_files(number)
        if place and str(error).startswith("Extra data") and line[place:].strip() == ",":
            return DataError("The row ends in a comma.", remedy="Delete it: each line is one JSON object by itself.")
        return _not_json(error, "Write one complete JSON object on each line.")


def json_rows(file: TextIO) -> Iterator[Row]:
    number = 0
    try:
        for number, row in enumerate(_elements(JsonWindow(file)), 1):
            yield number, checked(row)
    except (ValueError, RecursionError) as error:
        yield number + 1, _not_json(error, f"Correct it; {NOT_READ}")


def joined_files(line: int) -> DataError:
    """Return the error for a byte order mark that is not at the start of the file."""
    return DataError(
        f"Line {line:,} has a byte order mark (U+FEFF), which belongs at the start of a file: two files were joined.",
        remedy="Delete the mark, which most editors do not show, or join the files without it.",
    )


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


def require_few_values(text: str) -> None:
    """Raise a `ValueError` for JSON with more than `MOST_VALUES` values, which take far more memory than the text."""
    if sum(map(text.count, _BEGINNINGS)) > MOST_VALUES:
        outside = _TEXT.sub("", text)
        if sum(map(outside.count, _BEGINNINGS)) > MOST_VALUES:
            raise _TooManyValuesError


def checked(row: object) -> object | DataError:
    """Return the row, or what is wrong with it: too many columns, too deep nesting, one name twice in an object."""
    if isinstance(row, dict) and len(row) > MOST_COLUMNS:
        return too_many_columns(f"The row has {len(row):,} columns")
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


class JsonWindow:
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
        # All that is left belongs to one value, which has not ended.
        require_few_values(self.text)
        piece = self._file.read(max(_PIECE, min(len(self.text), _LARGEST_PIECE)))
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

    def items(self, decoder: json.JSONDecoder) -> Iterator[tuple[str, object]]:
        """Yield the elements of the array or the members of the object that begins here, an element's name being ""."""
        closing = {"[": "]", "{": "}"}[self.next()]
        self.at += 1
        if self.next() != closing:
            while True:
                name = self.name(decoder) if closing == "}" else ""
                yield name, self.element(decoder)
                if self.next() != ",":
                    break
                self.at += 1
                self.next()
        self.expect(closing, f", or {closing}")

    def name(self, decoder: json.JSONDecoder) -> str:
        """Read a member's name and the colon after it."""
        if self.next() != '"':
            raise json.JSONDecodeError("Expecting a name in double quotes", self.text, self.at)
        name = str(self.element(decoder))
        self.expect(":", ":")
        self.next()
        return name

    def expect(self, character: str, expected: str) -> None:
        """Pass over a character; raises a `ValueError` if another one is next."""
        if self.next() != character:
            raise json.JSONDecodeError(f"Expecting {expected}", self.text, self.at)
        self.at += 1

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


class _TooManyValuesError(ValueError):
    """A row of more values than are taken in."""


class _NotJsonError(ValueError):
    """What is wrong, with its place in the file."""


def _elements(window: JsonWindow) -> Iterator[object]:
    """Yield a JSON array's elements one by one: all at once they would take far more room than the text."""
    decoder = _decoder()
    while window.next() == BYTE_ORDER_MARK:
        window.at += 1
    if not window.next():
        return
    if window.next() != "[":
        raise _no_array(window, decoder)
    try:
        for _, element in window.items(decoder):
            yield element
        if window.next():
            raise json.JSONDecodeError("Expecting nothing after the array", window.text, window.at)
    except json.JSONDecodeError as error:
        cause = ". Two files were joined" if error.doc[error.pos : error.pos + 1] in ("[", BYTE_ORDER_MARK) else ""
        raise _NotJsonError(f"{_reason(error)} at {window.where(error.pos)}{cause}") from error


def _no_array(window: JsonWindow, decoder: json.JSONDecoder) -> DataError:
    if window.next() == "{":
        try:
            return object_error(window, decoder)
        except json.JSONDecodeError as error:
            return DataError(
                f"The file is not a JSON array, and not JSON: {_reason(error)} at {window.where(error.pos)}.",
                remedy="Correct it, and write the rows as [{...}, {...}].",
            )
        except (ValueError, RecursionError):
            pass
    return table_error(window.text[window.at :].splitlines()[:2], ".json") or DataError(
        "The file is not a JSON array.",
        remedy="Write [{...}, {...}], or name the file .jsonl when it has one object on each line.",
    )


def text_lines(file: TextIO, longest: int) -> Iterator[str | None]:
    """Yield lines without more than `longest` characters; None stands for a longer one."""
    while line := file.readline(longest + 1):
        too_long = len(line) > longest
        while len(line) > longest and not line.endswith("\n"):
            line = file.readline(longest + 1)
        yield None if too_long else line


def _decoder() -> json.JSONDecoder:
    """Return a decoder that keeps a number's text, so that none is rounded or too long, and takes NaN for null."""
    return _Decoder(parse_int=str, parse_float=str, parse_constant=lambda _: None, object_pairs_hook=object_of)


class _Decoder(json.JSONDecoder):
    """Refuses a text of too many values before it makes any of them."""

    def decode(self, s: str, *arguments: Any) -> Any:
        require_few_values(s)
        return super().decode(s, *arguments)


def _not_json(error: ValueError | RecursionError, remedy: str, what: str = "The row") -> DataError:
    if isinstance(error, RecursionError):
        return _nested_too_deeply()
    if isinstance(error, _TooLongError):
        return _too_long("The row", LONGEST_ROW)
    if isinstance(error, _TooManyValuesError):
        return DataError(
            f"{what} has more than {MOST_VALUES:,} values.",
            remedy="Split it, delete it, or leave out the columns that are not learned from.",
        )
    if isinstance(error, json.JSONDecodeError):
        where = f"line {error.lineno}, column" if error.lineno > 1 else "column"
        return DataError(f"{what} is not JSON: {_reason(error)} at {where} {error.colno}.", remedy=remedy)
    return DataError(f"{what} is not JSON: {error}.", remedy=remedy)


def _reason(error: json.JSONDecodeError) -> str:
    """Return what is wrong, before its place: some messages of the decoder end in "at"."""
    return error.msg.removesuffix(" at")


def _too_long(what: str, most: int) -> DataError:
    return DataError(f"{what} has more than {most:,} characters.", remedy="Split it, or delete the row.")


def too_many_columns(what: str) -> DataError:
    return DataError(f"{what}; the most is {MOST_COLUMNS:,}.", remedy="Keep those that are learned from.")


def _nested_too_deeply() -> DataError:
    return DataError("The row is nested too deeply.", remedy="Keep prompt and response as plain strings.")
