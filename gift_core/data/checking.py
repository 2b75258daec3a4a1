"""Whether a file can be learned from: everything that is wrong with it, or what it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from gift_core.csv_export import write_csv
from gift_core.data.files import Table
from gift_core.data.layouts import FOUND_BY_NAME, NoLayoutError
from gift_core.data.limits import MOST_UNPACKED
from gift_core.data_spec import ColumnMapping
from gift_core.dataset_summary import DatasetSummary, summarise
from gift_core.errors import DataError, Problem


def all_problems(
    paths: Sequence[Path], mapping: ColumnMapping = FOUND_BY_NAME, most_bytes: int = MOST_UNPACKED
) -> Iterator[Problem]:
    """Everything that is wrong with a file, row by row, in the order of its rows; nothing where it can be used."""
    try:
        table = Table(*paths, most_bytes=most_bytes)
        yield from table.problems(table.layout(mapping))
    except DataError as error:
        yield from error.problems


def summary_of(
    paths: Sequence[Path],
    mapping: ColumnMapping = FOUND_BY_NAME,
    shown: int = 20,
    needs_layout: bool = True,
    most_bytes: int = MOST_UNPACKED,
) -> DatasetSummary:
    """What a file holds; raises `DataError` where a row cannot be used, or its rows unpack to more than `most_bytes`.

    Without `needs_layout`, a file whose columns nobody has named yet gets a summary that names its columns alone, if
    all of its rows can be read.
    """
    table = Table(*paths, most_bytes=most_bytes)
    try:
        layout = table.layout(mapping)
    except NoLayoutError:
        if needs_layout:
            raise
        return DatasetSummary(columns=table.columns, rows=table.count(shown))
    return summarise(table.columns, layout, table.examples(layout, shown))


def write_problems(file: TextIO, problems: Iterable[Problem]) -> None:
    """Problems as CSV: where, what, and what to do."""
    write_csv(file, ("where", "problem", "remedy"), ((p.field, p.message, p.remedy) for p in problems))
