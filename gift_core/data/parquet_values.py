"""Values of Parquet columns as rows hold them: texts, numbers, lists and objects, and what is none of these."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gift_core.data.formats import object_of
from gift_core.data.limits import DEEPEST_NESTING
from gift_core.data.texts import NotText

if TYPE_CHECKING:
    import pyarrow

_DATED = 'Write it as text, such as "2026-05-31".'
_NOT_UTF8 = NotText("bytes that are not UTF-8", "Write it as UTF-8 text.")


def column_values(column: pyarrow.Array) -> list[object]:
    """Return a column's values, with a `NotText` for each that cannot be converted: only a row that reads it fails."""
    import pyarrow

    try:
        return _values(column)
    except (pyarrow.ArrowException, ValueError, OverflowError, TypeError):
        return [_single(column.slice(place, 1)) for place in range(len(column))]


def _single(column: pyarrow.Array) -> object:
    import pyarrow

    try:
        return _values(column)[0]
    except UnicodeDecodeError:
        return _NOT_UTF8
    except (pyarrow.ArrowException, ValueError, OverflowError, TypeError):
        return NotText(f"a value of type {column.type} that cannot be converted")


def _values(column: Any, depth: int = 1) -> list[object]:
    """Return the values of an array of any type; `depth` counts the lists and objects around them."""
    from pyarrow import types

    kind = column.type
    if depth > DEEPEST_NESTING:
        # `formats.checked` refuses what is nested so deeply; the rest of it is not unpacked.
        return [[] for _ in range(len(column))]
    if types.is_dictionary(kind):
        return _values(column.dictionary_decode(), depth)
    if hasattr(column, "storage"):
        return _values(column.storage, depth)
    if types.is_struct(kind):
        return _objects(column, depth)
    if types.is_map(kind):
        return _maps(column, depth)
    if types.is_nested(kind) and hasattr(kind, "value_type"):
        return [*_lists(column, depth)]
    if types.is_floating(kind):
        return _numbers(column)
    if (other := _not_text(kind)) is not None:
        return [other if present else None for present in column.is_valid().to_pylist()]
    return list(column.to_pylist())


def _objects(column: Any, depth: int) -> list[object]:
    names = [field.name for field in column.type]
    present = column.is_valid().to_pylist()
    # flatten, unlike field, starts where a slice starts.
    parts = [_values(part, depth + 1) for part in column.flatten()]
    rows = zip(*parts, strict=True) if parts else ((),) * len(column)
    return [
        object_of(list(zip(names, row, strict=True))) if here else None for row, here in zip(rows, present, strict=True)
    ]


def _lists(column: Any, depth: int) -> list[list[Any] | None]:
    import pyarrow.compute

    lengths = pyarrow.compute.list_value_length(column).to_pylist()
    values = column.flatten()
    # A vector may be long, and is never text.
    is_vector = pyarrow.types.is_floating(values.type)
    return _cut(values.to_pylist() if is_vector else _values(values, depth + 1), lengths)


def _maps(column: Any, depth: int) -> list[object]:
    """Return a map's names and values as an object, as JSON has it."""
    import pyarrow

    pairs = column.cast(
        pyarrow.list_(pyarrow.struct([("key", column.type.key_type), ("value", column.type.item_type)]))
    )
    return [
        None if found is None else object_of([(str(pair["key"]), pair["value"]) for pair in found])
        for found in _lists(pairs, depth)
    ]


def _cut(values: list[object], lengths: list[int | None]) -> list[list[object] | None]:
    lists: list[list[object] | None] = []
    start = 0
    for length in lengths:
        lists.append(None if length is None else values[start : start + length])
        start += length or 0
    return lists


def _numbers(column: Any) -> list[object]:
    """Return numbers whose text is the shortest in the column's own precision; NaN and infinity are null."""
    import numpy

    # Nulls become NaN.
    numbers = column.to_numpy(zero_copy_only=False)
    is_short = numbers.dtype.itemsize < numpy.dtype(float).itemsize
    values = [float(str(number)) for number in numbers] if is_short else numbers.tolist()
    return [number if math.isfinite(number) else None for number in values]


def _not_text(kind: Any) -> NotText | None:
    """Return what the values of a type are that has no text of its own, whatever they hold."""
    from pyarrow import types

    if types.is_date(kind):
        return NotText("a date", _DATED)
    if types.is_timestamp(kind):
        return NotText("a date and time", _DATED)
    if types.is_time(kind):
        return NotText("a time of day", "Write it as text.")
    if types.is_duration(kind) or types.is_interval(kind):
        return NotText("a duration", "Write it as text.")
    return None
