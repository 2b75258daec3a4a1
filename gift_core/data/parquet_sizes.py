"""How large the rows of Parquet files are once they are unpacked, without unpacking them.

A file may repeat a value for nothing: a dictionary page holds it once, and a run of its number stands for any number of
rows. Texts are therefore read as dictionaries, and the sizes of their values added up before the values are made.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gift_core.data.limits import LONGEST_ROW, MOST_VALUES

Sizes = npt.NDArray[np.int64]

# So that a row of the most values is as large as a row may be.
_VALUE = LONGEST_ROW // MOST_VALUES
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 4}
# pyarrow cannot read columns with other types, or with values that continue the one before, as dictionaries.
_TEXT_TYPES = frozenset({"NONE", "STRING", "JSON", "ENUM", "BSON"})
_CONTINUED = "DELTA_BYTE_ARRAY"


def dictionary_columns(file: Any) -> list[str]:
    """Return the paths of the columns whose repeated values can stay in one place while they are read."""
    metadata = file.metadata
    columns = [file.schema.column(place) for place in range(metadata.num_columns)]
    return [
        column.path
        for place, column in enumerate(columns)
        if column.physical_type == "BYTE_ARRAY"
        and column.logical_type.type in _TEXT_TYPES
        and not any(_is_continued(metadata.row_group(group), place) for group in range(metadata.num_row_groups))
    ]


def claimed_bytes(file: Any, group: int) -> int:
    """Return the memory that a group of rows takes while it is read, by what the file says."""
    found = file.metadata.row_group(group)
    chunks = [(found.column(place), file.schema.column(place)) for place in range(found.num_columns)]
    return max(found.total_byte_size, sum(chunk.num_values * _width(column) for chunk, column in chunks))


def rows_at_once(file: Any, group: int, most_rows: int, most_bytes: int) -> int:
    """Return how many rows of a group to read at once, so that they take about `most_bytes`; at least one."""
    found = file.metadata.row_group(group)
    rows = most_bytes * found.num_rows // max(1, claimed_bytes(file, group))
    for place in range(found.num_columns):
        # Such a value repeats the one before it, and is as long as all of its column at the most.
        if _is_continued(found, place):
            rows = min(rows, 4 * most_bytes // max(1, found.column(place).total_uncompressed_size))
        rows = min(rows, most_bytes // _width(file.schema.column(place)))
    return max(1, min(rows, most_rows))


def row_sizes(column: Any) -> Sizes:
    """Return the bytes that each value of an array takes, with everything in it."""
    import pyarrow.compute
    from pyarrow import types

    kind = column.type
    if types.is_dictionary(kind):
        return _of_dictionary(column)
    if hasattr(column, "storage"):
        return row_sizes(column.storage)
    if types.is_struct(kind):
        return sum((row_sizes(part) for part in column.flatten()), start=_each(column))
    if types.is_map(kind):
        offsets = column.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
        return _each(column) + _of_lists(row_sizes(column.keys) + row_sizes(column.items), offsets)
    if types.is_nested(kind) and hasattr(kind, "value_type"):
        # A null has no values in a flattened list.
        lengths = pyarrow.compute.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
        return _each(column) + _of_lists(row_sizes(column.flatten()), np.cumsum([0, *lengths], dtype=np.int64))
    if types.is_string_view(kind) or types.is_binary_view(kind):
        return row_sizes(column.cast(pyarrow.large_binary()))
    if any(is_of(kind) for is_of in (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)):
        return _each(column) + pyarrow.compute.binary_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    if types.is_fixed_size_binary(kind):
        return _each(column) + kind.byte_width
    return _each(column)


def _of_dictionary(column: Any) -> Sizes:
    values = np.append(row_sizes(column.dictionary), _VALUE)
    # Nulls have the number after the last.
    return np.asarray(values[column.indices.fill_null(len(values) - 1).to_numpy(zero_copy_only=False)])


def _of_lists(values: Sizes, offsets: Sizes) -> Sizes:
    sums = np.append(0, np.cumsum(values, dtype=np.int64))
    return np.asarray(sums[offsets[1:]] - sums[offsets[:-1]])


def _each(column: Any) -> Sizes:
    return np.full(len(column), _VALUE, np.int64)


def _width(column: Any) -> int:
    return int(_WIDTHS.get(column.physical_type) or max(1, column.length))


def _is_continued(group: Any, place: int) -> bool:
    return _CONTINUED in group.column(place).encodings
