"""Fields that change what a model would be asked or would learn, and that text alone cannot hold."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import NamedTuple

from gift_core.data.cells import is_nothing, json_in
from gift_core.data.known_formats import CONVERSATIONS
from gift_core.errors import DataError

_TOOLS = "Delete it, or write the calls and their results into the text."
_MEDIA = "Delete the row, or describe it in the text: only text is learned."


class _Refusal(NamedTuple):
    """Names of a field, in lower case, what it holds, and what can be done about it."""

    names: re.Pattern[str]
    meaning: str
    remedy: str


_OF_MESSAGES = (
    _Refusal(re.compile(r"(tool|function)s?(_?(call|response|output|result|choice)s?)?(_?id)?"), "tool calls", _TOOLS),
    _Refusal(re.compile(r"(input_)?(image|audio|video)s?(_urls?|_paths?)?|media|attachments?"), "media", _MEDIA),
    _Refusal(re.compile(r"documents?"), "documents", "Write them into the text, and delete the field."),
    _Refusal(re.compile(r"((loss|label)_?)?masks?"), "a mask", "Write weight 0 or 1, or delete the field."),
    _Refusal(re.compile(r"refusal"), "a refusal", "Write it as the message's text, or delete the row."),
    _Refusal(re.compile(r"name"), "a speaker's name", "Write it into the text, or delete the field."),
    _Refusal(re.compile(r"prefix"), "the beginning of an answer", "Write the whole answer, and delete the field."),
    _Refusal(re.compile(r"recipient"), "a message to a tool", "Delete the field, or the row."),
    _Refusal(
        re.compile(r"reasoning_details|thinking_blocks|redacted_thinking"),
        "reasoning in parts",
        "Write it as text in reasoning_content.",
    ),
    _Refusal(
        re.compile(r"train(ing)?_details?"),
        "parts of a text to learn",
        "Learn the whole message, and delete the field.",
    ),
)
_TOOL_COLUMNS = ("tools", "tool", "functions", "function", "tool_calls", "function_call")
_MEDIA_COLUMNS = ("images", "image", "audios", "audio", "videos", "video")


def require_learnable_message(message: Mapping[object, object], where: str) -> None:
    """Raise `DataError` if a field of the message cannot be learned from; `where` names the message."""
    for name, value in message.items():
        refusal = _refusal(name) if isinstance(name, str) else None
        if refusal and not is_nothing(value) and not (name == "recipient" and value == "all"):
            raise DataError(
                f'{where} has "{name}": {refusal.meaning} cannot be learned from.',
                remedy=refusal.remedy,
            )


def require_learnable_row(row: Mapping[object, object], used: Collection[str]) -> None:
    """Raise `DataError` if a column that is not read changes what the row asks for.

    Only what tools and media look like is refused: a text in a column `tools` is a remark like any other.
    """
    for name in _TOOL_COLUMNS:
        if name in row and name not in used and _holds_objects(row[name]):
            raise DataError(f'Column "{name}" offers tools, whose calls cannot be learned.', remedy=_TOOLS)
    for name in _MEDIA_COLUMNS:
        if name in row and name not in used and _holds_media(row[name], f"<{name.rstrip('s')}>", row, used):
            raise DataError(f'Column "{name}" has media that the text is about.', remedy=_MEDIA)
    _require_weight_of_one(row, used)
    for name, columns in (("label", ("completion", *CONVERSATIONS)), ("kto_tag", used)):
        if not {*columns}.isdisjoint(used) and str(row.get(name)).lower() == "false" and name not in used:
            raise DataError(
                f'Column "{name}" is false: the response is one to avoid.',
                remedy="Delete the row, or the column if it means something else.",
            )


@lru_cache(maxsize=1024)
def _refusal(name: str) -> _Refusal | None:
    return next((refusal for refusal in _OF_MESSAGES if refusal.names.fullmatch(name.lower())), None)


def _holds_objects(value: object) -> bool:
    """Whether a cell holds an object, a list of objects, or JSON of either."""
    found = json_in(value)
    members = found if isinstance(found, list) else [found]
    return any(isinstance(member, dict) and not is_nothing(member) for member in members)


def _holds_media(value: object, mark: str, row: Mapping[object, object], used: Collection[str]) -> bool:
    """Whether a cell holds files, or names one that the text shows at `mark`."""
    found = json_in(value)
    if isinstance(found, list | dict | bytes):
        return bool(found) and not is_nothing(found)
    return not is_nothing(found) and any(mark in str(row.get(column)) for column in used)


def _require_weight_of_one(row: Mapping[object, object], used: Collection[str]) -> None:
    value = row.get("weight")
    if "weight" in used or is_nothing(value) or not isinstance(value, str | int | float):
        return
    try:
        weight = float(value)
    except ValueError:
        return
    if weight != 1:
        raise DataError(
            f'Column "weight" is {value}, and every row is learned with weight 1.',
            remedy="Delete the row, or the column; rename it if it is not the weight of the example.",
        )
