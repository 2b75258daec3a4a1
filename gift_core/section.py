"""What every part of a spec has in common: immutable, strict, and read with every problem named."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from gift_core.errors import Problem, SpecError, problems_of

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
# Zero-width characters and marks of direction. Joiners stay: emoji and some scripts are written with them.
_INVISIBLE = {0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def clean_name(name: object) -> object:
    """Return a name on one line: blanks trimmed, and control characters and invisible marks removed."""
    if not isinstance(name, str):
        return name
    spaced = "".join(" " if character.isspace() else character for character in name)
    kept = (each for each in spaced if unicodedata.category(each) not in ("Cc", "Cs") and ord(each) not in _INVISIBLE)
    return " ".join("".join(kept).split())


Name = Annotated[str, BeforeValidator(clean_name)]


class Section(BaseModel):
    """A part of the spec: immutable, and a misspelt key is an error rather than ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def parse(cls, values: object) -> Self:
        """Validate; raises `SpecError` that names every wrong field."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SpecError.of(problems_of(error)) from error

    def replace(self, changes: Mapping[str, Any]) -> Self:
        """A copy with dotted fields changed, `{"training.epochs": 3}`; raises `SpecError` for unknown ones."""
        values = self.model_dump(mode="json")
        for path, value in changes.items():
            *parents, leaf = path.split(".")
            section: Any = values
            for parent in parents:
                section = section.get(parent) if isinstance(section, dict) else None
            if not isinstance(section, dict):
                raise SpecError.of([Problem("There is no such field.", path, "`gift train --help` lists them.")])
            section[leaf] = value
        return self.parse(values)

    def fingerprint(self) -> str:
        """Hexadecimal digits that equal specs share."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


def conflict(field: str, other: str, message: str) -> PydanticCustomError:
    """The error of two fields, dotted, that do not go together: `field` is where the remedy lies."""
    return PydanticCustomError("value_error", "{message}", {"message": message, "field": field, "other": other})
