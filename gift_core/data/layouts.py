"""Where the rows of a data set keep their prompt and their response."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gift_core.errors import DataError, Problem

# In order of preference. The first two hold whole conversations, the others are pairs of columns.
_CHATS = ("messages", "conversations")
_PAIRS = (
    ("instruction", "output"),
    ("prompt", "response"),
    ("prompt", "completion"),
    ("question", "answer"),
    ("problem", "solution"),
    ("input", "output"),
)
# ShareGPT's names for the speakers beside the usual ones.
_SPEAKERS = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
}
_KINDS = {bool: "true or false", list: "a list", dict: "an object", str: "text", type(None): "null"}
_COLUMNS_SHOWN = 20


@dataclass(frozen=True)
class Layout:
    """The columns of the prompt and the response; one column for both holds a conversation."""

    prompt: str
    response: str
    context: str | None = None

    def read(self, row: object) -> tuple[str, str]:
        """The row's prompt and response; raises `DataError` that says what is wrong with the row."""
        if not isinstance(row, dict):
            raise DataError(
                f"The row is {_kind(row)}, not an object.",
                remedy='Write it as an object, for example {"prompt": "...", "response": "..."}.',
            )
        if self.prompt == self.response:
            return _conversation(row.get(self.prompt), self.prompt)
        prompt = _text(row.get(self.prompt), f'The prompt (column "{self.prompt}")')
        context = row.get(self.context) if self.context else None
        if context not in (None, ""):
            prompt += "\n\n" + _text(context, f'Column "{self.context}"')
        return prompt, _text(row.get(self.response), f'The response (column "{self.response}")')


def find_layout(columns: Sequence[str], prompt_column: str | None, response_column: str | None) -> Layout:
    """The layout of a file with these columns; columns that are given win over those found by name.

    `instruction` takes in a column `input`, as in Alpaca. Raises `DataError` when a given column does not
    exist or no layout fits.
    """
    given = {"prompt_column": prompt_column, "response_column": response_column}
    unknown = [
        Problem(
            f'There is no column "{name[:40]}"; the columns are {_listing(columns)}.',
            f"data.source.{field}",
            "Choose one of them, or leave the field empty to have it found by name.",
        )
        for field, name in given.items()
        if name and name not in columns
    ]
    if unknown:
        raise DataError.of(unknown)
    if prompt_column and prompt_column == response_column:
        return Layout(prompt_column, prompt_column)
    for chat in _CHATS:
        if chat in columns and not prompt_column and not response_column:
            return Layout(chat, chat)
    # A given column's usual partner comes before other names that also occur.
    for pair in sorted(_PAIRS, key=lambda pair: pair[0] != prompt_column and pair[1] != response_column):
        prompt, response = prompt_column or pair[0], response_column or pair[1]
        if prompt != response and prompt in columns and response in columns:
            takes_input = prompt == "instruction" and response != "input" and "input" in columns
            return Layout(prompt, response, "input" if takes_input else None)
    known = ", ".join([*_CHATS, *(f"{prompt} and {response}" for prompt, response in _PAIRS)])
    raise DataError(
        f"No prompt and response found; the columns are {_listing(columns)}.",
        field="data.source",
        remedy=f"Name the two columns, or rename them to one of: {known}.",
    )


def _conversation(value: object, column: str) -> tuple[str, str]:
    if not isinstance(value, list) or not value:
        raise DataError(
            f'Column "{column}" is not a list of messages.',
            remedy='Write [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}].',
        )
    turns = [_turn(message, number, column) for number, message in enumerate(value, 1)]
    speakers = [speaker for speaker, _ in turns]
    if "assistant" not in speakers:
        raise DataError(
            f'Column "{column}" has no message of the assistant, so there is no response.',
            remedy="Add it, or delete the row.",
        )
    if speakers not in (["user", "assistant"], ["system", "user", "assistant"]):
        turns_shown = ", ".join(speakers[:8]) + (", ..." if len(speakers) > 8 else "")
        raise DataError(
            f'Column "{column}" has the turns {turns_shown}; only a single exchange is supported yet.',
            remedy="Keep an optional system turn, one user turn and the assistant's answer in each row.",
        )
    return "\n\n".join(text for _, text in turns[:-1]), turns[-1][1]


def _turn(message: Any, number: int, column: str) -> tuple[str, str]:
    """Speaker and text of {role, content}, or {from, value} as ShareGPT writes it."""
    where = f'message {number} of column "{column}"'
    speaker = message.get("role", message.get("from")) if isinstance(message, dict) else None
    if not isinstance(speaker, str) or speaker not in _SPEAKERS:
        raise DataError(
            f"The speaker of {where} is not one of {', '.join(_SPEAKERS)}.",
            remedy='Give the message a "role" and its "content".',
        )
    return _SPEAKERS[speaker], _text(message.get("content", message.get("value")), f"The text of {where}")


def _text(value: object, what: str) -> str:
    if value is None:
        raise DataError(f"{what} is missing.", remedy="Add it, or delete the row.")
    if not isinstance(value, str):
        raise DataError(f"{what} is {_kind(value)}, not text.", remedy="Write it as a string.")
    if not value.strip():
        raise DataError(f"{what} is empty.", remedy="Fill it in, or delete the row.")
    if "\0" in value or not _is_encodable(value):
        raise DataError(
            f"{what} contains a NUL character or half of a surrogate pair.", remedy="Remove that character."
        )
    return value


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "something else")


def _listing(columns: Sequence[str]) -> str:
    names = [f'"{name[:40]}"' for name in columns[:_COLUMNS_SHOWN]]
    if len(columns) > _COLUMNS_SHOWN:
        names.append(f"and {len(columns) - _COLUMNS_SHOWN:,} more")
    return ", ".join(names) or "none"
