"""Errors that a person can act on: what is wrong, where, and what to do about it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import ValidationError


@dataclass(frozen=True)
class Problem:
    """One thing wrong with what the user gave us.

    `field` is a dotted path into the spec (`training.learning_rate`), a row of a file (`row 3`) or "".
    """

    message: str
    field: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        # What a library said, at the end of a message, may lack its full stop.
        message = self.message if self.message.endswith((".", "!", "?")) else f"{self.message}."
        return f"{where}{message} {self.remedy}".rstrip()

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


class GiftError(Exception):
    """Base of every error meant for the user. `code` is stable and machine-readable."""

    code = "error"

    def __init__(self, message: str, *, field: str = "", remedy: str = "") -> None:
        self.problems: tuple[Problem, ...] = (Problem(message, field, remedy),)
        super().__init__(str(self.problems[0]))

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> GiftError:
        """One error that carries every problem found, not only the first."""
        error = cls(problems[0].message, field=problems[0].field, remedy=problems[0].remedy)
        error.problems = tuple(problems)
        error.args = ("\n".join(str(problem) for problem in problems),)
        return error


class SpecError(GiftError):
    """The spec asks for something impossible or unknown."""

    code = "spec"


class DataError(GiftError):
    """A data set cannot be read, or some of its rows cannot be used."""

    code = "data"


class ModelError(GiftError):
    """A model or checkpoint is unknown, unreadable or not a masked diffusion model."""

    code = "model"


class TrainingError(GiftError):
    """Training cannot go on."""

    code = "training"


class NotFiniteError(TrainingError):
    """A loss or a gradient is not a number any more."""

    code = "nan_loss"


class OutOfMemoryError(GiftError):
    """The machine or the device has not as much memory as the run asks for."""

    code = "out_of_memory"


class UploadError(GiftError):
    """The Hub could not be reached, or did not take what was to be uploaded."""

    code = "upload"


class StoppedError(GiftError):
    """The run was stopped on request, after it wrote a checkpoint to resume from."""

    code = "stopped"


# Pydantic's union tags and validator names would otherwise stand in the middle of a field's path.
_TAGS = frozenset({"task", "file", "generated", "hub"})
_PATH_NOISE = frozenset({"float", "int", "constrained-float", "constrained-int"})
# What a value should have been, by pydantic's name for the mistake, and what to enter instead.
_EXPECTED = {
    **dict.fromkeys(("float_parsing", "float_type"), ("a number", "Try 0.0005 or 5e-4.")),
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), ("a whole number", "Try 1 or 20.")),
    **dict.fromkeys(("bool_parsing", "bool_type"), ("true or false", "Enter true or false.")),
    "string_type": ("text", "Put it in quotes."),
}
_BOUNDS = ("less_than", "greater_than")
# Mistakes that the value says nothing about; that of an unknown field may be a secret under a misspelt name.
_SILENT = ("missing", "value_error", "extra_forbidden", "unstorable_text")
_LONGEST_SHOWN = 80
# Fields that hold a secret, by the end of their names, and those that are close to one by a slip of the pen.
_SECRET = re.compile(r"(^|[_.-])(token|secret|password|passwd|key|credential|authorization|cookie)s?$", re.IGNORECASE)


def problems_of(error: ValidationError, prefix: tuple[str, ...] = ()) -> list[Problem]:
    """Each of pydantic's complaints as a `Problem` that names the field the way the form and the YAML do."""
    return problems_in(error.errors(include_url=False), prefix)


def problems_in(items: Sequence[Mapping[str, Any]], prefix: Sequence[str | int] = ()) -> list[Problem]:
    """Pydantic's complaints as problems, each once: those about the alternatives of one field are one problem."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for item in items:
        place = tuple(item["loc"])
        alternative = bool(place) and _is_noise(str(place[-1]))
        groups.setdefault(place[:-1] if alternative else place, []).append(item)
    found = []
    for place, group in groups.items():
        if len(group) > 1 and (problem := _of_alternatives(group, (*prefix, *place))):
            found.append(problem)
        else:
            found += [problem_of(item, (*prefix, *item["loc"])) for item in group]
    return list(dict.fromkeys(found))


def problem_of(item: Mapping[str, Any], path: Sequence[str | int], *, repeats: bool = True) -> Problem:
    """One of pydantic's complaints, about the field at `path`.

    It `repeats` what was given, if that is a single value of a known field whose name is not that of a secret.
    """
    kind, message = item["type"], item["msg"].removeprefix("Value error, ")
    may_be_shown = repeats and path and kind not in _SILENT and not _is_secret(path)
    shown = _shown(item["input"]) if may_be_shown else ""
    is_short = 0 < len(shown) <= _LONGEST_SHOWN
    if kind in _EXPECTED:
        message = f"{shown if is_short else 'This'} is not {_EXPECTED[kind][0]}"
    elif is_short:
        message = f"{message}, got {shown}"
    # A check over several sections names the field itself: see `spec.conflict`.
    path = [*path, *item.get("ctx", {}).get("field", "").split(".")]
    return Problem(_encodable(f"{message}.".replace("..", ".")), _field_name(path), _remedy(kind))


def _field_name(path: Sequence[str | int]) -> str:
    parts = [str(part) for part in path if part != ""]
    # A tag stands before a field of its member: `data.source.task.task` is the field `task`.
    last = len(parts) - 1
    return _encodable(
        ".".join(
            part for i, part in enumerate(parts) if i == 0 or not (_is_noise(part) or (part in _TAGS and i < last))
        )
    )


def _of_alternatives(items: Sequence[Mapping[str, Any]], path: Sequence[str | int]) -> Problem | None:
    """One problem of a value that is neither one of some words nor a number; None for other alternatives."""
    words = [item["ctx"]["expected"] for item in items if item["type"] == "literal_error"]
    numbers = [item for item in items if item["type"] != "literal_error"]
    if len(words) != 1 or len(numbers) != 1:
        return None
    kind = numbers[0]["type"]
    if kind in _EXPECTED:
        wanted = _EXPECTED[kind][0]
    elif kind.startswith(_BOUNDS):
        wanted = f"a number {numbers[0]['msg'].removeprefix('Input should be ')}"
    else:
        wanted = "a finite number"
    shown = "" if _is_secret(path) else _shown(numbers[0]["input"])
    value = shown if 0 < len(shown) <= _LONGEST_SHOWN else "This"
    return Problem(
        _encodable(f"{value} is not {words[0]}, nor {wanted}."),
        _field_name(path),
        "Enter one of the words, or a number such as 0.5.",
    )


def _shown(value: object) -> str:
    """A single value as it would be typed; "" for one that Python itself cannot write, being too large, and for lists
    and objects, which may hold anything."""
    try:
        if value is None or isinstance(value, bool | str):
            return json.dumps(value, ensure_ascii=False)
        return repr(value) if isinstance(value, int | float) else ""
    except ValueError:
        return ""


def _is_secret(path: Sequence[str | int]) -> bool:
    return any(_SECRET.search(part) for part in path if isinstance(part, str))


def _encodable(text: str) -> str:
    """Half a surrogate pair, which JSON can name and UTF-8 cannot, as its escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _is_noise(part: str) -> bool:
    # Members of a union are called after their schema, such as "literal['sequence','batch']".
    return part in _PATH_NOISE or "[" in part


def _remedy(kind: str) -> str:
    if kind == "extra_forbidden":
        return "Remove it, or check its spelling against `gift train --help`."
    if kind == "missing":
        return "Add it."
    if kind == "unstorable_text":
        return "Remove that character."
    if kind in _EXPECTED:
        return _EXPECTED[kind][1]
    if kind.endswith("_parsing") or kind.endswith("_type"):
        return "Enter a value of that type."
    if kind.startswith(_BOUNDS):
        return "Enter a number within that bound."
    if kind == "value_error":
        return "Change one of the values named."
    if kind in ("literal_error", "union_tag_invalid"):
        return "Choose one of the values named."
    return ""
