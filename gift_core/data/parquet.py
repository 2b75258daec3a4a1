"""The rows of Parquet files. What a file claims is looked at first, and what it unpacks to is counted as it comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from gift_core.data.formats import Row, checked
from gift_core.data.limits import LARGEST_ROW_GROUP, LONGEST_ROW, MOST_COLUMNS, MOST_ROWS, MOST_UNPACKED
from gift_core.data.parquet_sizes import Sizes, claimed_bytes, dictionary_columns, row_sizes, rows_at_once
from gift_core.data.parquet_values import column_values
from gift_core.data.texts import NotText, file_name, printable
from gift_core.data.unpacked import Unpacked
from gift_core.errors import DataError

_MOST_ROWS_AT_ONCE = 256
_BYTES_AT_ONCE = 16 * 2**20


def parquet_rows(path: Path, field: str, most_bytes: int = MOST_UNPACKED) -> Iterator[Row]:
    """Yield the rows of the file, as dictionaries; raises `DataError` about `field`, also above `most_bytes`."""
    import pyarrow

    number = 0
    unpacked = Unpacked(most_bytes, field)
    try:
        with _opened(path, field) as file:
            for group in range(file.num_row_groups):
                for row in _group_rows(file, group, unpacked):
                    number += 1
                    yield number, row if isinstance(row, DataError) else checked(row)
    except MemoryError as error:
        raise DataError(
            f"{file_name(path)} cannot be read: a part of it asks for more memory than there is.",
            field=field,
            remedy="Write it again with smaller groups of rows, or as JSONL.",
        ) from error
    # Damaged files also make it say that a number is too large.
    except (pyarrow.ArrowException, ValueError, OverflowError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(
            f"{file_name(path)} is not a Parquet file that can be read: {_first_line(error)}.".replace("..", "."),
            field=field,
            remedy="Write it again, or as JSONL.",
        ) from error


@contextmanager
def _opened(path: Path, field: str) -> Iterator[Any]:
    """Open a file that does not claim too much, with its texts as dictionaries; raises `DataError` about `field`."""
    from pyarrow import parquet

    with path.open("rb") as content:
        with parquet.ParquetFile(content) as file:
            _require_bearable(file, field)
            _require_single_names(file.schema_arrow.names)
            repeated = dictionary_columns(file)
        content.seek(0)
        with parquet.ParquetFile(content, read_dictionary=repeated) as file:
            yield file


def _group_rows(file: Any, group: int, unpacked: Unpacked) -> Iterator[dict[str, object] | DataError]:
    """Yield the rows of one group; a damaged column is a `NotText` in each of them, and refuses those that read it."""
    given = 0
    try:
        for row in _rows_of(file, group, None, unpacked):
            yield row
            given += 1
    except (OSError, ValueError) as error:
        names = list(file.schema_arrow.names)
        readable = [name for name in names if _is_readable(file, group, name)]
        if not readable or len(readable) == len(names):
            raise
        damaged = dict.fromkeys(names, NotText(f"damaged ({_first_line(error)})", "Write the file again."))
        for row in islice(_rows_of(file, group, readable, unpacked), given, None):
            yield row if isinstance(row, DataError) else damaged | row


def _rows_of(
    file: Any, group: int, columns: list[str] | None, unpacked: Unpacked
) -> Iterator[dict[str, object] | DataError]:
    for batch in _batches(file, group, columns):
        sizes = sum((row_sizes(column) for column in batch.columns), start=np.zeros(batch.num_rows, np.int64))
        for rows in _slices(sizes):
            size = int(sizes[rows].sum())
            unpacked.add(size)
            if size > LONGEST_ROW and rows.stop - rows.start == 1:
                yield _row_too_large(size)
            else:
                yield from _unpacked_rows(batch.slice(rows.start, rows.stop - rows.start))


def _batches(file: Any, group: int, columns: list[str] | None) -> Iterator[Any]:
    count = rows_at_once(file, group, _MOST_ROWS_AT_ONCE, _BYTES_AT_ONCE)
    yield from file.iter_batches(batch_size=count, row_groups=[group], columns=columns)


def _slices(sizes: Sizes) -> Iterator[slice]:
    """Yield slices of rows that take as much as is unpacked at once, or one row that takes more by itself."""
    start = taken = 0
    for place, size in enumerate(sizes.tolist()):
        if place > start and taken + size > _BYTES_AT_ONCE:
            yield slice(start, place)
            start, taken = place, 0
        taken += size
    if len(sizes):
        yield slice(start, len(sizes))


def _unpacked_rows(batch: Any) -> Iterator[dict[str, object]]:
    names, values = batch.schema.names, [column_values(column) for column in batch.columns]
    for place in range(batch.num_rows):
        yield {name: column[place] for name, column in zip(names, values, strict=True)}


def _is_readable(file: Any, group: int, name: str) -> bool:
    try:
        for _ in _batches(file, group, [name]):
            pass
    except (OSError, ValueError):
        return False
    return True


def _require_single_names(names: list[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise DataError(
                f'The file names the column "{printable(name)[:40]}" twice.',
                field="columns",
                remedy="Rename or delete one of them.",
            )


def _require_bearable(file: Any, field: str) -> None:
    metadata = file.metadata
    sizes = [claimed_bytes(file, group) for group in range(metadata.num_row_groups)]
    limits = (
        (metadata.num_columns, MOST_COLUMNS, "columns"),
        (metadata.num_rows, MOST_ROWS, "rows"),
        (max(sizes, default=0), LARGEST_ROW_GROUP, "bytes in one group of rows, unpacked"),
        (sum(sizes), MOST_UNPACKED, "bytes of rows, unpacked"),
    )
    for found, most, what in limits:
        if not 0 <= found <= most:
            raise DataError(
                f"The file has {found:,} {what}; the most is {most:,}.",
                field=field,
                remedy="Keep only the columns and rows that are learned from, or split the file.",
            )


def _row_too_large(size: int) -> DataError:
    return DataError(
        f"The row takes {size:,} bytes once it is unpacked; the most is {LONGEST_ROW:,}.",
        remedy="Split it, delete it, or leave out the columns that are not learned from.",
    )


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
