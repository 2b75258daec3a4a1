"""How the backend's refusals are shown on a page."""

from __future__ import annotations

from gift_core.errors import Problem
from ui.client import StudioError
from ui.components import data_of


def refusal(title: str, error: StudioError) -> str:
    """What the backend said, for a `problems` view."""
    return problems_of(title, *error.problems)


def problems_of(title: str, *problems: Problem) -> str:
    """Problems under a title, for a `problems` view."""
    return data_of({"title": title, "problems": [problem.as_dict() for problem in problems]})
