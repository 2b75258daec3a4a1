"""Reasoning apart from its answer, and the form in which both are learned."""

from __future__ import annotations

from typing import NamedTuple

from gift_core.data_spec import ReasoningForm
from gift_core.errors import DataError

_OPEN, _CLOSE = "<think>", "</think>"
_OPEN_ANSWER, _CLOSE_ANSWER = "<answer>", "</answer>"


class Reasoned(NamedTuple):
    """An answer, and the reasoning before it; "" if it has none."""

    reasoning: str
    answer: str


def split_think(text: str, what: str) -> Reasoned:
    """Split a text that begins with a <think> block; raises `DataError` if the block does not end, or nothing follows.

    A block without its opening tag, which some chat templates write into the prompt, is a block too.
    """
    begins = text.lstrip().startswith(_OPEN)
    if not begins and (_CLOSE not in text or _OPEN in text):
        return Reasoned("", text)
    reasoning, closed, answer = text.partition(_CLOSE)
    if not closed or not answer.strip():
        fault = "has no answer after its reasoning" if closed else f"opens {_OPEN} and never closes it"
        raise DataError(
            f"{what} {fault}.",
            remedy="Delete the row, or set data.source.reasoning to think to learn the text as it is.",
        )
    return Reasoned(reasoning.replace(_OPEN, "", 1).strip() if begins else reasoning.strip(), answer.strip())


def protocol_form(reasoning: str, answer: str) -> str:
    """Write a response in the form that the built-in tasks and the benchmarks ask for."""
    return f"<reasoning>{reasoning}</reasoning>{_OPEN_ANSWER}{answer}{_CLOSE_ANSWER}"


def rendered(found: Reasoned, form: ReasoningForm) -> str:
    """Write the reasoning and its answer in a form; an answer without reasoning is left as it is."""
    if not found.reasoning or form == "omit":
        return found.answer
    if form == "think":
        return f"{_OPEN}\n{found.reasoning}\n{_CLOSE}\n\n{found.answer}"
    return protocol_form(found.reasoning, _unwrapped(found.answer))


def _unwrapped(answer: str) -> str:
    """Return an answer without the protocol's own tags around it, which models that write <think> blocks use too."""
    inside = answer.strip().removeprefix(_OPEN_ANSWER).removesuffix(_CLOSE_ANSWER)
    is_wrapped = answer.strip() == f"{_OPEN_ANSWER}{inside}{_CLOSE_ANSWER}" and _OPEN_ANSWER not in inside
    return inside.strip() if is_wrapped else answer
