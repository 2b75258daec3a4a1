"""Documents as single lines of JSON, whatever is in their texts and numbers."""

from __future__ import annotations

import json
from typing import TypeVar

from gift_core.document import Document

D = TypeVar("D", bound=Document)


def to_line(document: Document) -> str:
    """Return a document as one line. Pydantic's own JSON would write an infinite number as null."""
    return json.dumps(document.model_dump(mode="json"))


def of_line(kind: type[D], line: str) -> D:
    """Return the document that a line holds."""
    return kind.model_validate(json.loads(line))
