"""How the backend's refusals are shown on a page."""

from __future__ import annotations

from collections.abc import Sequence

from gift_core.errors import Problem
from ui.components import data_of
from ui.connection import StudioError


def refusal(title: str, error: StudioError, edits: Sequence[str] = ()) -> str:
    """What the backend said, for a `problems` view; `edits` name those that it may refer to by number."""
    return problems_of(title, *error.problems, edits=edits)


def problems_of(title: str, *problems: Problem, edits: Sequence[str] = ()) -> str:
    """Problems under a title, for a `problems` view."""
    return data_of({"title": title, "problems": [problem.as_dict() for problem in problems], "edits": list(edits)})
