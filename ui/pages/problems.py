"""How the backend's refusals are shown on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gift_core.errors import Problem
from ui.components import data_of
from ui.connection import StudioError


def refusal(
    title: str, error: StudioError, edits: Sequence[str] = (), places: Mapping[str, tuple[str, str]] | None = None
) -> str:
    """What the backend said, for a `problems` view; `edits` name those that it may refer to by number, and `places` say
    where on the page its fields are."""
    found = [problem.as_dict() for problem in error.problems]
    return data_of({"title": title, "problems": found, "edits": list(edits), "places": dict(places or {})})


def problems_of(title: str, *problems: Problem) -> str:
    """Problems under a title, for a `problems` view."""
    return data_of({"title": title, "problems": [problem.as_dict() for problem in problems]})
