"""Conversations as {role, content}, or {from, value} as ShareGPT writes them: what is asked, and what is learned."""

from __future__ import annotations

from typing import Any

from gift_core.data.examples import Role, Turn
from gift_core.data.limits import MOST_MESSAGES
from gift_core.data.texts import text_of
from gift_core.errors import DataError

# ShareGPT's names for the speakers beside the usual ones.
_SPEAKERS: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
}


def read_conversation(value: object, column: str) -> tuple[list[Turn], str]:
    """The turns up to the last answer, and that answer, which is what is learned.

    Earlier answers are read as part of the prompt; what follows the last answer is left out. Raises `DataError`.
    """
    if not isinstance(value, list) or not value:
        raise DataError(
            f'Column "{column}" is not a list of messages.',
            remedy='Write [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}].',
        )
    if len(value) > MOST_MESSAGES:
        raise DataError(
            f'Column "{column}" has {len(value):,} messages; the most is {MOST_MESSAGES:,}.',
            remedy="Split the conversation, or delete the row.",
        )
    turns = [_turn(message, number, column) for number, message in enumerate(value, 1)]
    last = max((place for place, turn in enumerate(turns) if turn.role == "assistant"), default=None)
    if last is None:
        raise DataError(
            f'Column "{column}" has no message of the assistant, so there is no response.',
            remedy="Add it, or delete the row.",
        )
    if any(turn.role == "system" for turn in turns[1:]):
        raise DataError(
            f'Column "{column}" has a system message after the first message.',
            remedy="Put it first, or join it to the user's message.",
        )
    before = turns[:last]
    if not before or before[-1].role != "user":
        raise DataError(
            f'In column "{column}" the last message of the assistant does not answer a message of the user.',
            remedy="Add the user's message before it, or join messages of one speaker.",
        )
    return before, turns[last].text


def _turn(message: Any, number: int, column: str) -> Turn:
    where = f'message {number} of column "{column}"'
    named = isinstance(message, dict)
    # Parquet gives every message all keys that any of them has.
    speaker = next((message[key] for key in ("role", "from") if message.get(key) is not None), None) if named else None
    if not isinstance(speaker, str) or speaker not in _SPEAKERS:
        raise DataError(
            f"The speaker of {where} is not one of {', '.join(_SPEAKERS)}.",
            remedy='Give the message a "role" and its "content".',
        )
    content = message["content"] if message.get("content") is not None else message.get("value")
    return Turn(_SPEAKERS[speaker], text_of(_joined(content), f"The text of {where}"))


def _joined(content: object) -> object:
    """Parts of text as one text; anything else as it is, to be refused."""
    if not isinstance(content, list) or not content:
        return content
    parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
    texts = [part for part in parts if isinstance(part, str)]
    return "\n".join(texts) if len(texts) == len(content) else content
