"""Rendering the chat template of a model folder, within limits: it is a program that came with the weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from gift_core.bounded.process import BoundedProcess
from gift_core.errors import ModelError

Turn = Mapping[str, str]


class TemplateRefusedError(Exception):
    """A template does not take the turns that it was given."""


def render(template: str, turns: Sequence[Turn], tokens: Mapping[str, str]) -> str:
    """What a template makes of the turns, with the header of the answer to them; `tokens` are the special ones.

    Raises `TemplateRefusedError` where it does not take them, and `ModelError` where it takes too much time or memory.
    """
    try:
        answer = _process().ask([template, list(turns), dict(tokens)])
    except OSError as error:
        raise ModelError(f"Chat templates cannot be rendered: {error}.", remedy="Try again.") from error
    if not answer:
        raise ModelError(
            "The model's chat template takes more time or memory than one that writes a conversation does.",
            field="model.name",
            remedy="Look at chat_template in tokenizer_config.json, or at chat_template.jinja, and take out its loops.",
        )
    text, refusal = json.loads(answer)
    if refusal is not None:
        raise TemplateRefusedError(refusal)
    return str(text)


@cache
def _process() -> BoundedProcess:
    """The one process for all models: it takes half a second to start."""
    return BoundedProcess(Path(__file__).with_name("template_worker.py"))
