"""The rows of Parquet files. What a file claims about its size is looked at before anything is unpacked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gift_core.data.formats import Row, checked
from gift_core.data.limits import LARGEST_ROW_GROUP, MOST_COLUMNS, MOST_ROWS, MOST_UNPACKED
from gift_core.errors import DataError

_ROWS_AT_ONCE = 256


def parquet_rows(path: Path, field: str) -> Iterator[Row]:
    """The rows of the file, as dictionaries; raises `DataError` about `field`."""
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            _require_bearable(file.metadata, field)
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
                for row in batch.to_pylist():
                    number += 1
                    yield number, checked(row)
    # Damaged files also make it say that a number is too large, or that memory is short.
    except (pyarrow.ArrowException, ValueError, OverflowError, MemoryError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(
            f"{path.name} is not a Parquet file that can be read: {_first_line(error)}.".replace("..", "."),
            field=field,
            remedy="Write it again, or as JSONL.",
        ) from error


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
