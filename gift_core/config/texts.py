"""The texts that can be stored: one rule for everything that people and programs send.

PostgreSQL has no NUL in texts, and half of a surrogate pair has no UTF-8.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, model_validator
from pydantic_core import PydanticCustomError

# What pydantic calls the mistake.
UNSTORABLE = "unstorable_text"


def require_plain(text: str) -> str:
    """Return a text that has no control characters but blanks. Raises `PydanticCustomError` for any other."""
    if fault := _fault_of(text):
        raise PydanticCustomError(UNSTORABLE, "{fault}", {"fault": fault})
    for character in text:
        if unicodedata.category(character) == "Cc" and not character.isspace():
            code = f"U+{ord(character):04X}"
            raise PydanticCustomError(UNSTORABLE, "It holds the control character {code}", {"code": code})
    return text


class StorableTexts(BaseModel):
    """A document whose texts can be stored. They are looked at before their fields' types are."""

    @model_validator(mode="before")
    @classmethod
    def _can_be_stored(cls, values: Any) -> Any:
        for name, value in values.items() if isinstance(values, Mapping) else ():
            # Documents within look at their own.
            for text in value if isinstance(value, list | tuple) else (value,):
                if name in cls.model_fields and isinstance(text, str) and (fault := _fault_of(text)):
                    raise PydanticCustomError(UNSTORABLE, "{fault}", {"fault": fault, "field": name})
        return values


def _fault_of(text: str) -> str:
    if "\0" in text:
        return "It holds the character NUL (U+0000)"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "It holds half of a surrogate pair"
    return ""
