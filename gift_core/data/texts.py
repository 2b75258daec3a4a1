"""Values of a row as text that can be learned from: the one rule for examples and evaluation items."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TypeGuard

from gift_core.data.limits import LONGEST_TEXT
from gift_core.errors import DataError
from gift_core.escaping import escaped_line

_AS_TEXT = "Write it as a string."
_KINDS: dict[type, str] = {
    **{bool: "true or false", list: "a list", dict: "an object", str: "text", type(None): "null"},
    **{bytes: "binary data", int: "a number", float: "a number", Decimal: "a number"},
}
# Python and NumPy write larger numbers with an exponent.
_LARGEST_WITH_A_POINT = 1e16


@dataclass(frozen=True)
class NotText:
    """A value that is never text, such as a date: its kind, and what to do about it if it is read."""

    kind: str
    remedy: str = _AS_TEXT


def text_of(value: object, what: str) -> str:
    """Return the value, which `what` names, as text; raises `DataError` unless it is text or a number.

    Numbers of JSON and CSV arrive as the text that was typed. A typed number gets the shortest text of its own
    precision: 0.1 as a 32-bit float is "0.1", and the decimal 2.50 is "2.50". NaN and infinity are missing.
    """
    if is_number(value):
        value = number_text(value)
    if value is None:
        raise DataError(f"{what} is missing.", remedy="Add it, or delete the row.")
    if not isinstance(value, str):
        remedy = value.remedy if isinstance(value, NotText) else _AS_TEXT
        raise DataError(f"{what} is {kind_of(value)}, not text.", remedy=remedy)
    if not value.strip():
        raise DataError(f"{what} is empty.", remedy="Fill it in, or delete the row.")
    if len(value) > LONGEST_TEXT:
        raise DataError(
            f"{what} has {len(value):,} characters; the most is {LONGEST_TEXT:,}.",
            remedy="Split it, or delete the row.",
        )
    if "\0" in value or not _is_encodable(value):
        raise DataError(
            f"{what} contains a NUL character or half of a surrogate pair.", remedy="Remove that character."
        )
    return value


def number_text(value: int | float | Decimal) -> str | None:
    """Return the shortest decimal text that stands for the number; None for NaN and infinity."""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else None
    if not math.isfinite(value):
        return None
    text = str(value)
    if "e" not in text:
        return text
    whole = format(Decimal(text), "f")
    return whole if abs(value) >= _LARGEST_WITH_A_POINT or "." in whole else f"{whole}.0"


def is_number(value: object) -> TypeGuard[int | float | Decimal]:
    """Return whether a value is a number, which true and false are not."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def is_missing(value: object) -> bool:
    """Return whether a row holds nothing here: null, NaN, infinity or blank text."""
    if is_number(value):
        return number_text(value) is None
    return value is None or (isinstance(value, str) and not value.strip())


def kind_of(value: object) -> str:
    """Return what a person calls a value of this type."""
    if isinstance(value, NotText):
        return value.kind
    return _KINDS.get(type(value), "something else")


def file_name(path: Path) -> str:
    """Return a file's name as the user gave it; an upload has a name of the studio's own, with a full stop first."""
    return "The file" if path.name.startswith(".") else path.name


def printable(name: str) -> str:
    """Return a column's name as it can be shown and sent: JSON may hide escape sequences in it, and half a surrogate
    pair."""
    return escaped_line(name)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
