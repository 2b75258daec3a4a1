"""Refusals of the front end itself, in the form that the backend's have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.responses import JSONResponse

from api.schemas import ProblemDocument
from gift_core.errors import Problem


def refusal(
    status: int, code: str, title: str, problems: Sequence[Problem], headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A problem document; Gradio's own script shows its `detail`."""
    detail = "\n".join(map(str, problems))
    document = ProblemDocument(code=code, title=title, status=status, problems=list(problems), detail=detail)
    return JSONResponse(document.model_dump(mode="json"), status, headers, media_type="application/problem+json")
