"""How the backend's refusals are shown on a page."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from gift_core.errors import Problem, SpecError
from ui.components import data_of
from ui.connection import StudioError


def refusal(
    title: str,
    error: StudioError | SpecError,
    edits: Sequence[str] = (),
    places: Mapping[str, tuple[str, str]] | None = None,
) -> str:
    """What the backend said, for a `problems` view; `edits` name those that it may refer to by number, and `places` say
    where on the page its fields are."""
    return _panel(title, error.problems, edits=list(edits), places=dict(places or {}))


def said(title: str, problems: Sequence[Problem]) -> str:
    """The same for a list that may be empty: then nothing is said."""
    return problems_of(title, *problems) if problems else ""


def problems_of(title: str, *problems: Problem) -> str:
    """Problems under a title, for a `problems` view."""
    return _panel(title, problems)


def _panel(title: str, problems: Sequence[Problem], **more: Any) -> str:
    # The time makes it a new value: what is refused twice is said twice.
    return data_of({"title": title, "problems": [problem.as_dict() for problem in problems], "at": time.time(), **more})
