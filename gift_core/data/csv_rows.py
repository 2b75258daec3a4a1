"""The rows of CSV files, whatever separates their cells, as spreadsheets write them."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TextIO

from gift_core.data.formats import BYTE_ORDER_MARK, NOT_READ, Row, joined_files, text_lines, too_many_columns
from gift_core.data.limits import LONGEST_CSV_LINE, LONGEST_CSV_RECORD, MOST_COLUMNS
from gift_core.data.texts import printable
from gift_core.errors import DataError

# In order of preference.
_SEPARATORS = (",", ";", "\t", "|")
# Spreadsheets name the separator in a line of its own before the header.
_DECLARED = re.compile(r'"?sep=([,;\t|:~^])"?\s*', re.IGNORECASE)
_NAMES: dict[str, str] = {",": "commas", ";": "semicolons", "\t": "tabs"}


def csv_rows(file: TextIO) -> Iterator[Row]:
    """Yield the rows after the header; of several separators that fit the header, the first that fits all rows."""
    is_declared, separator = _separator(file)
    file.seek(0)
    if is_declared:
        file.readline(LONGEST_CSV_LINE)
    first_line, start = (2 if is_declared else 1), file.tell()
    is_spaced = _is_spaced(file, separator, start)
    file.seek(start)
    records = _Records(file, separator, first_line, is_spaced=is_spaced)
    number = 0
    try:
        header = _Header(next((cells for cells in records if not _is_blank(cells)), []), separator)
        for number, cells in enumerate(records, 1):
            if not _is_blank(cells):
                yield number, joined_files(records.line) if records.is_marked else header.row(cells)
    except csv.Error as error:
        remedy = f"Correct the quotes, or use JSONL for very long texts; {NOT_READ}"
        yield number + 1, DataError(f"Line {records.last_line} is not CSV: {error}.", remedy=remedy)


class _Records:
    """The records of a file from where it stands: lists of cells."""

    def __init__(self, file: TextIO, separator: str, first_line: int = 1, *, is_spaced: bool = False) -> None:
        self._lines = enumerate(text_lines(file, LONGEST_CSV_LINE), first_line)
        self._reader = csv.reader(self._read(), delimiter=separator, strict=True, skipinitialspace=is_spaced)
        # Where the last record begins, and whether it begins with a byte order mark.
        self.line, self.is_marked, self._is_new = first_line, False, True
        self.last_line = first_line
        self._length = 0

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        self._is_new = True
        return next(self._reader)

    def _read(self) -> Iterator[str]:
        for number, line in self._lines:
            self.last_line = number
            if line is None:
                raise csv.Error(f"it has more than {LONGEST_CSV_LINE:,} characters")
            self._length = len(line) + (0 if self._is_new else self._length)
            if self._length > LONGEST_CSV_RECORD:
                raise csv.Error(f"the record that ends there has more than {LONGEST_CSV_RECORD:,} characters")
            if self._is_new:
                self.line, self.is_marked, self._is_new = number, line.startswith(BYTE_ORDER_MARK), False
            # The mark would hide the quote that a cell begins with.
            yield line.lstrip(BYTE_ORDER_MARK) if self.line == number else line


class _Header:
    """The names of the columns; columns without a name hold nothing, but may number the rows before the others."""

    def __init__(self, cells: list[str], separator: str) -> None:
        self._cells, self._names, self._separator = cells, [cell.strip() for cell in cells], separator
        names = self._names
        _require_names(names)
        named = [place for place, name in enumerate(names) if name.strip()]
        self._named = {names[place] for place in named}
        self._end = named[-1] + 1 if named else len(names)
        # Cells before the first name are the numbers that a program gave the rows.
        first = named[0] if named else 0
        self._nameless = [place for place, name in enumerate(names) if place > first and not name.strip()]

    def row(self, cells: list[str]) -> object:
        """Return a record's cells under their names, or what is wrong with it."""
        is_short = len(cells) < self._end
        if is_short or not _is_blank(cells[len(self._names) :]):
            quoted = f"Put cells that contain {self._between} or line breaks in double quotes: {self._example}."
            return DataError(
                f"The row has {len(cells)} cells, but the header has {len(self._names)}.",
                remedy=f"Write its empty cells too, those at its end as well. {quoted}" if is_short else quoted,
            )
        if cells == self._cells:
            return DataError("The row repeats the header: two files were joined.", remedy="Delete the row.")
        for place in self._nameless:
            if found := "".join(cells[place : place + 1]).strip():
                return DataError(
                    f'Cell {place + 1} of the row has a value, "{found[:40]}", but its column has no name.',
                    remedy=f"Name the column, or put cells that contain {self._between} in double quotes.",
                )
        return {name: cell for name, cell in zip(self._names, cells, strict=False) if name in self._named}

    @property
    def _example(self) -> str:
        return f'"a{self._separator} b"'

    @property
    def _between(self) -> str:
        return _NAMES.get(self._separator, f'"{self._separator}"')


def _require_names(names: Sequence[str]) -> None:
    """Raise `DataError` if the header has too many names, or one twice."""
    named = Counter(name for name in names if name.strip())
    if named.total() > MOST_COLUMNS:
        raise too_many_columns(f"The header has {named.total():,} columns")
    for name, count in named.items():
        if count > 1:
            raise DataError(
                f'The header names the column "{printable(name)[:40]}" twice.',
                field="header",
                remedy="Rename one of them.",
            )
        if name.startswith(BYTE_ORDER_MARK):
            raise DataError(
                f'The name of column "{name[1:41]}" begins with a byte order mark (U+FEFF).',
                field="header",
                remedy="Delete the mark, which most editors do not show.",
            )


def _separator(file: TextIO) -> tuple[bool, str]:
    """Return whether the first line declares what separates the cells, and what does."""
    declared = _DECLARED.fullmatch(file.readline(LONGEST_CSV_LINE).lstrip(BYTE_ORDER_MARK))
    if declared:
        return True, declared[1]
    possible = [separator for separator in _SEPARATORS if _splits_header(file, separator)]
    # All rows are asked, so that their order makes no difference.
    fitting = [separator for separator in possible if len(possible) == 1 or _fits_rows(file, separator)]
    return False, next(iter(fitting or possible), _SEPARATORS[0])


def _splits_header(file: TextIO, separator: str) -> bool:
    with suppress(csv.Error):
        return len(next(_records_of(file, separator), [])) > 1
    return False


def _fits_rows(file: TextIO, separator: str) -> bool:
    """Return whether all rows can be read, and have as many cells as the header."""
    with suppress(csv.Error):
        records = _records_of(file, separator)
        size = len(next(records, []))
        return all(len(cells) == size for cells in records)
    return False


def _is_spaced(file: TextIO, separator: str, start: int) -> bool:
    """Return whether a blank follows every separator of the header, as people type it: a quote may come after it."""
    with suppress(csv.Error):
        header = next(_records_of(file, separator, start), [])
        return len(header) > 1 and all(cell.startswith(" ") for cell in header[1:])
    return False


def _records_of(file: TextIO, separator: str, start: int = 0) -> Iterator[list[str]]:
    """Yield the records from `start`, a position in the file, that are not blank."""
    file.seek(start)
    return (cells for cells in _Records(file, separator) if not _is_blank(cells))


def _is_blank(cells: Sequence[str]) -> bool:
    return not any(cell.strip() for cell in cells)
