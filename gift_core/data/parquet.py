"""The rows of Parquet files. What a file claims about its size is looked at before anything is unpacked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from gift_core.data.formats import Row, checked
from gift_core.data.limits import LARGEST_ROW_GROUP, MOST_COLUMNS, MOST_ROWS, MOST_UNPACKED
from gift_core.data.parquet_values import column_values
from gift_core.data.texts import NotText, file_name, printable
from gift_core.errors import DataError

_ROWS_AT_ONCE = 256


def parquet_rows(path: Path, field: str) -> Iterator[Row]:
    """Yield the rows of the file, as dictionaries; raises `DataError` about `field`."""
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        with path.open("rb") as content, parquet.ParquetFile(content) as file:
            _require_bearable(file.metadata, field)
            _require_single_names(file.schema_arrow.names)
            for group in range(file.num_row_groups):
                for row in _group_rows(file, group):
                    number += 1
                    yield number, checked(row)
    # Damaged files also make it say that a number is too large, or that memory is short.
    except (pyarrow.ArrowException, ValueError, OverflowError, MemoryError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(
            f"{file_name(path)} is not a Parquet file that can be read: {_first_line(error)}.".replace("..", "."),
            field=field,
            remedy="Write it again, or as JSONL.",
        ) from error


def _group_rows(file: Any, group: int) -> Iterator[dict[str, object]]:
    """Yield the rows of one group; a damaged column is a `NotText` in each of them, and refuses those that read it."""
    given = 0
    try:
        for row in _rows_of(file, group, None):
            yield row
            given += 1
    except (OSError, ValueError) as error:
        names = list(file.schema_arrow.names)
        readable = [name for name in names if _is_readable(file, group, name)]
        if not readable or len(readable) == len(names):
            raise
        damaged = dict.fromkeys(names, NotText(f"damaged ({_first_line(error)})", "Write the file again."))
        for row in islice(_rows_of(file, group, readable), given, None):
            yield damaged | row


def _rows_of(file: Any, group: int, columns: list[str] | None) -> Iterator[dict[str, object]]:
    for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, row_groups=[group], columns=columns):
        names, values = batch.schema.names, [column_values(column) for column in batch.columns]
        for place in range(batch.num_rows):
            yield {name: column[place] for name, column in zip(names, values, strict=True)}


def _is_readable(file: Any, group: int, name: str) -> bool:
    try:
        for _ in file.iter_batches(batch_size=_ROWS_AT_ONCE, row_groups=[group], columns=[name]):
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


def _require_bearable(metadata: Any, field: str) -> None:
    sizes = [metadata.row_group(place).total_byte_size for place in range(metadata.num_row_groups)]
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


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
