"""Errors that a person can act on: what is wrong, where, and what to do about it."""

from __future__ import annotations

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


def problems_of(error: ValidationError, prefix: tuple[str, ...] = ()) -> list[Problem]:
    """Each of pydantic's complaints as a `Problem` that names the field the way the form and the YAML do."""
    return [problem_of(item, (*prefix, *item["loc"])) for item in error.errors(include_url=False)]


def problem_of(item: Mapping[str, Any], path: Sequence[str | int]) -> Problem:
    """One of pydantic's complaints, about the field at `path`."""
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] not in ("missing", "value_error") and 0 < len(shown := _shown(item["input"])) <= 80:
        message = f"{message}, got {shown}"
    # A check over several sections names the field itself: see `spec.conflict`.
    path = [*path, *item.get("ctx", {}).get("field", "").split(".")]
    parts = [str(part) for part in path if part != ""]
    # A tag stands before a field of its member: `data.source.task.task` is the field `task`.
    last = len(parts) - 1
    field = ".".join(
        part for i, part in enumerate(parts) if i == 0 or not (_is_noise(part) or (part in _TAGS and i < last))
    )
    return Problem(_encodable(f"{message}.".replace("..", ".")), _encodable(field), _remedy(item["type"]))


def _shown(value: object) -> str:
    """A value as it would be typed; "" for one that Python itself cannot write, being too deep or too large."""
    try:
        return repr(value)
    except (RecursionError, ValueError):
        return ""


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
    if kind in ("int_parsing", "int_from_float"):
        return "Enter a whole number."
    if kind == "float_parsing":
        return "Enter a number, such as 0.5 or 5e-4."
    if kind.endswith("_parsing") or kind.endswith("_type"):
        return "Enter a value of that type."
    if kind.startswith(("less_than", "greater_than")):
        return "Enter a number within that bound."
    if kind == "value_error":
        return "Change one of the values named."
    if kind in ("literal_error", "union_tag_invalid"):
        return "Choose one of the values named."
    return ""
