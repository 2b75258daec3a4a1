"""Tables for spreadsheets, which run what looks like a formula: a cell may say what a stranger wrote."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from typing import TextIO

# A spreadsheet takes a cell that begins with one of these for a formula, or looks behind the white space for one.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csv(file: TextIO, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table (RFC 4180). Numbers stay numbers; text that would be run as a formula is marked as text."""
    writer = csv.writer(file)
    writer.writerow([as_text(name) for name in header])
    writer.writerows([as_text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)


def as_text(cell: str) -> str:
    """The cell with an apostrophe before it where a spreadsheet would take it for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
