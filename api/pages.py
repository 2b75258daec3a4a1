"""Long lists, page by page: a cursor says where the next one begins, whatever was added or removed meanwhile."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field, FiniteFloat, TypeAdapter, ValidationError

from gift_core.errors import GiftError
from workers.records import Job

T = TypeVar("T")
R = TypeVar("R")

Place = tuple[float | int | str, ...]

Cursor = Annotated[
    str | None, Query(max_length=500, description="The `next` of the page before; the first if left out.")
]
Limit = Annotated[int, Query(ge=1, le=200, description="At most so many.")]


# A job's place in a list: when it was created, its place in the experiment, its id.
JOB_PLACE: TypeAdapter[tuple[FiniteFloat, int, str]] = TypeAdapter(tuple[FiniteFloat, int, str])
# The same for what has no place in anything.
TIME_PLACE: TypeAdapter[tuple[FiniteFloat, str]] = TypeAdapter(tuple[FiniteFloat, str])


class Page(BaseModel, Generic[T]):
    """Part of a list, and where it goes on."""

    items: list[T]
    next: str | None = Field(description="Pass it as `cursor` to get the next page; null at the end.")


class CursorError(GiftError):
    """A cursor that no page has given."""

    code = "request"


def page_of(found: Sequence[R], limit: int, view: Callable[[R], T], place: Callable[[R], Place]) -> Page[T]:
    """The first `limit` of what was found; there is a next page where one more was. `place`: where a record is."""
    shown = found[:limit]
    return Page(items=[view(record) for record in shown], next=encode(place(shown[-1])) if len(found) > limit else None)


def place_of_job(job: Job) -> Place:
    return job.created, job.position, job.id


def encode(place: Place) -> str:
    """A place in a list as a cursor."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def decode(cursor: str | None, place: TypeAdapter[T]) -> T | None:
    """The place that a cursor stands for; raises `CursorError` for what is none."""
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return place.validate_json(text)
    except (binascii.Error, ValueError, ValidationError):
        raise CursorError(
            "This is no cursor of this list.", field="cursor", remedy="Leave it out to begin with the first page."
        ) from None
