"""Values of a row as text that can be learned from."""

from __future__ import annotations

from gift_core.data.limits import LONGEST_TEXT
from gift_core.errors import DataError

_KINDS: dict[type, str] = {
    **{bool: "true or false", list: "a list", dict: "an object", str: "text", type(None): "null"},
    **{bytes: "binary data", int: "a number", float: "a number"},
}


def text_of(value: object, what: str) -> str:
    """The value, which `what` names; raises `DataError` unless it is text with something in it."""
    # JSON's numbers arrive as their text already; those of Parquet have a type.
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if value is None:
        raise DataError(f"{what} is missing.", remedy="Add it, or delete the row.")
    if not isinstance(value, str):
        raise DataError(f"{what} is {kind_of(value)}, not text.", remedy="Write it as a string.")
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


def kind_of(value: object) -> str:
    """What a person calls a value of this type."""
    return _KINDS.get(type(value), "something else")


def printable(name: str) -> str:
    """A column's name as it can be shown and sent: JSON may hide half a surrogate pair in it."""
    return name.encode(errors="backslashreplace").decode()


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
