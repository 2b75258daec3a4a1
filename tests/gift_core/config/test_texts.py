"""Texts that cannot be stored are refused, by the name of their field."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from api.account_views import KeyRequest
from api.schemas import DenoisingRequest, InspectionRequest
from gift_core.errors import SpecError, problems_of
from gift_core.spec import ExperimentSpec
from gift_core.trace import Edit
from workers.orders import DenoiseOrder, PushOrder

BAD = ["a\0b", "a\ud800b"]


@pytest.mark.parametrize("text", [*BAD, "a\x1b[31mb", "a\x7fb", "a\x85\x86b"])
def test_names_hold_no_control_characters(text: str) -> None:
    with pytest.raises(SpecError) as refused:
        ExperimentSpec.parse({"name": text})
    (problem,) = refused.value.problems
    assert problem.field == "name"
    assert problem.remedy == "Remove that character."
    assert str(problem).isprintable()


@pytest.mark.parametrize("text", BAD)
@pytest.mark.parametrize(
    ("kind", "field", "body"),
    [
        (ExperimentSpec, "run.model.name", lambda text: {"run": {"model": {"name": text}}}),
        (DenoiseOrder, "prompts", lambda text: {"checkpoint": "tiny", "prompts": ["fine", text]}),
        (PushOrder, "repository", lambda text: {"run": "run_1", "repository": f"me/{text}"}),
        (KeyRequest, "name", lambda text: {"name": text}),
        (KeyRequest, "account", lambda text: {"name": "a", "account": text}),
        (InspectionRequest, "prompt", lambda text: {"checkpoints": ["tiny"], "prompt": text, "response": ""}),
        (DenoisingRequest, "prompt", lambda text: {"checkpoints": ["tiny"], "prompt": text}),
        (DenoisingRequest, "edits.0.text", lambda text: {"checkpoints": ["tiny"], "prompt": "", "edits": [edit(text)]}),
        (Edit, "text", lambda text: {"position": 0, "text": text}),
    ],
)
def test_no_text_that_is_stored_holds_nul_or_half_a_pair(kind: Any, field: str, body: Any, text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        kind.model_validate(body(text))
    (problem,) = problems_of(refused.value)
    assert problem.field == field
    assert problem.remedy == "Remove that character."


def edit(text: str) -> dict[str, Any]:
    return {"position": 0, "text": text}


def test_prompts_may_have_several_lines_and_any_script() -> None:
    text = "one\n\ttwo\r\n\u200fשלום 👩‍👩‍👧 \u0007"
    assert DenoiseOrder(checkpoint="tiny", prompts=(text,)).prompts == (text,)
    assert ExperimentSpec(name=" Zwei\tWörter\n").name == "Zwei Wörter"
