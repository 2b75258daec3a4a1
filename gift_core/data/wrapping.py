"""JSON files that hold rows in another form than one object for each: which form it is, and how to change it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Literal

from gift_core.data.known_formats import LATER_PAIRS, PAIRS, PREFERENCES
from gift_core.data.texts import printable
from gift_core.errors import DataError

if TYPE_CHECKING:
    from gift_core.data.formats import JsonWindow

# What a member of the outermost object holds: a list of objects, a conversation, another list, an object whose names
# are numbers, another object, or anything else.
_Kind = Literal["rows", "messages", "list", "numbered", "object", "value"]

# Names under which files keep their rows beside other things.
_USUAL_NAMES = frozenset(
    ("data", "rows", "train", "validation", "test", "examples", "instances", "samples", "items", "records", "dataset")
)
_MEMBERS_READ = 100
_NAMES_SHOWN = 3
_PANDAS = 'Write one object for each row; in pandas: df.to_json(path, orient="records").'


def require_object_lines(lines: Sequence[str | None], suffix: str, decoder: json.JSONDecoder) -> None:
    """Raise `DataError` if a file, whose first two lines with text these are, has no JSON object on each line."""
    if not lines or lines[0] is None:
        return
    text, after = lines[0].strip(), (lines[1] or "").strip() if len(lines) > 1 else None
    try:
        value = decoder.decode(text)
    except json.JSONDecodeError as error:
        if error.pos >= len(text):
            _require_complete(text, after, suffix)
        if error.pos == 0 and (table := table_error([text, after or ""], suffix)):
            raise table from None
    except (ValueError, RecursionError):
        # Nested too deeply, or too many values: the row says so when it is read.
        return
    else:
        if after is None:
            _require_row(value, suffix)


def object_error(window: JsonWindow, decoder: json.JSONDecoder) -> DataError:
    """Return the error for a .json file that begins with an object; raises `ValueError` if it is not JSON."""
    kinds = _kinds_of_members(window, decoder)
    if len(kinds) < _MEMBERS_READ and window.next() == "{":
        return DataError(
            "The file is not a JSON array. It has one object after another.",
            remedy="Name it .jsonl if each stands on a line of its own, or write [{...}, {...}].",
        )
    return _wrapped(kinds, "Make that list the whole file: [{...}, {...}].") or DataError(
        "The file is not a JSON array. It is one object.",
        remedy="Write [{...}, {...}], or name the file .jsonl when it has one object on each line.",
    )


def table_error(lines: Sequence[str], suffix: str) -> DataError | None:
    """Return the error for a table that is not named .csv, by its first two lines; None if they are no table."""
    if (
        len(lines) > 1
        and lines[0][:1] not in ("{", "[", '"')
        and any(all(s in line for line in lines) for s in ",;\t|")
    ):
        return DataError(f"The file looks like CSV, though it is named {suffix}.", remedy="Name it .csv.")
    return None


def _require_complete(text: str, after: str | None, suffix: str) -> None:
    """Raise `DataError` if the first line, which ends too early, begins an array or an object of several lines."""
    if text.startswith("["):
        raise _array(suffix)
    goes_on = text.endswith(("{", "[", ":")) or (after is not None and not after.startswith("{"))
    if text.startswith("{") and after is not None and goes_on:
        raise DataError(
            f"The first object takes several lines, but a {suffix} file has one object on each line.",
            remedy="Write each object on a line of its own, or write a JSON array, [{...}, {...}], and name it .json.",
        )


def _require_row(value: object, suffix: str) -> None:
    """Raise `DataError` if the only line of a file is all of its rows."""
    if isinstance(value, list) and _kind_of(value) == "rows":
        raise _array(suffix)
    if isinstance(value, dict) and not _has_texts_to_learn(value):
        kinds = {str(name): _kind_of(inner) for name, inner in islice(value.items(), _MEMBERS_READ)}
        error = _wrapped(kinds, "Write each of its objects on a line of its own.")
        if error:
            raise error


def _has_texts_to_learn(row: Mapping[str, object]) -> bool:
    """Whether an object has a prompt and a response, so that it is a row whatever stands beside them."""
    pairs = (*PAIRS, *LATER_PAIRS, *PREFERENCES)
    return any(all(isinstance(row.get(name), str) for name in pair) for pair in pairs)


def _array(suffix: str) -> DataError:
    return DataError(f"The file is a JSON array, though it is named {suffix}.", remedy="Name it .json.")


def _kinds_of_members(window: JsonWindow, decoder: json.JSONDecoder) -> dict[str, _Kind]:
    """Return what the first members of the object that begins here hold, and pass over them."""
    kinds: dict[str, _Kind] = {}
    window.expect("{", "{")
    while window.next() == '"' and len(kinds) < _MEMBERS_READ:
        name = window.name(decoder)
        opening = window.next()
        if opening in ("[", "{"):
            items = window.items(decoder)
            first = list(islice(items, 1))
            kinds[name] = _kind_of([value for _, value in first] if opening == "[" else dict(first))
            for _ in items:
                pass
        else:
            window.element(decoder)
            kinds[name] = "value"
        if window.next() == ",":
            window.at += 1
    if len(kinds) < _MEMBERS_READ:
        window.expect("}", ", or }")
    return kinds


def _kind_of(value: object) -> _Kind:
    if isinstance(value, list):
        first = value[0] if value else None
        if not isinstance(first, dict):
            return "list"
        return "messages" if first.keys() & {"role", "from"} else "rows"
    if isinstance(value, dict):
        return "numbered" if str(next(iter(value), "")).isdigit() else "object"
    return "value"


def _wrapped(kinds: Mapping[str, _Kind], how: str) -> DataError | None:
    """Return the error for an object that holds rows, by what its members hold; None if it may be a row itself."""
    found = set(kinds.values())
    if "messages" in found:
        return None
    lists = [name for name, kind in kinds.items() if kind == "rows" and (len(kinds) == 1 or name in _USUAL_NAMES)]
    if lists:
        return DataError(f"The rows are under {_listing(lists, ' and ')}.", remedy=how)
    if {"columns", "data"} <= kinds.keys() and kinds["data"] == "list":
        return DataError('The columns\' names are under "columns" and the rows under "data".', remedy=_PANDAS)
    if found == {"numbered"} or (found == {"list"} and len(kinds) > 1):
        what = "list" if found == {"list"} else "object"
        return DataError(
            f"The file has one {what} for each column ({_listing(kinds)}), not one object for each row.", remedy=_PANDAS
        )
    if found == {"object"} and len(kinds) > 1:
        return DataError(f"The rows are under names of their own ({_listing(kinds)}), not in a list.", remedy=_PANDAS)
    return None


def _listing(names: Iterable[str], between: str = ", ") -> str:
    listed = list(names)
    shown = [f'"{printable(name)[:40]}"' for name in listed[:_NAMES_SHOWN]]
    return between.join([*shown, "..."] if len(listed) > _NAMES_SHOWN else shown)
