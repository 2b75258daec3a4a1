"""Where the rows of a data set keep their prompt and their response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gift_core.data.conversations import read_conversation
from gift_core.data.examples import Turn
from gift_core.data.texts import kind_of, printable, text_of
from gift_core.data_spec import ColumnMapping, LayoutName
from gift_core.errors import DataError, Problem

# In order of preference. The first two hold whole conversations, the others are pairs of columns.
_CHATS: dict[str, LayoutName] = {"messages": "messages", "conversations": "sharegpt"}
_ALPACA = ("instruction", "output")
_PAIRS = (
    _ALPACA,
    ("prompt", "response"),
    ("prompt", "completion"),
    ("question", "answer"),
    ("problem", "solution"),
    ("input", "output"),
)
_SYSTEM = "system"
_COLUMNS_SHOWN = 20
FOUND_BY_NAME = ColumnMapping()


class Exchange(NamedTuple):
    """What is asked and what is learned; `history` are the turns before the prompt, a system turn first."""

    prompt: str
    response: str
    history: tuple[Turn, ...] = ()


@dataclass(frozen=True)
class Layout:
    """The columns that are read; one column for prompt and response holds a conversation."""

    name: LayoutName
    prompt: str
    response: str
    context: str | None = None
    system: str | None = None

    def read(self, value: object) -> Exchange:
        """What the row says; raises `DataError` that names what is wrong with it."""
        row = require_object(value)
        system = self._optional(row, self.system)
        before = (Turn("system", system),) if system else ()
        if self.prompt == self.response:
            turns, response = read_conversation(row.get(self.prompt), self.prompt)
            # A system turn of the conversation itself is the more particular one.
            before = before if turns[0].role != "system" else ()
            return Exchange(turns[-1].text, response, (*before, *turns[:-1]))
        prompt = text_of(row.get(self.prompt), f'The prompt (column "{self.prompt}")')
        if context := self._optional(row, self.context):
            prompt += "\n\n" + context
        return Exchange(prompt, text_of(row.get(self.response), f'The response (column "{self.response}")'), before)

    @staticmethod
    def _optional(row: Mapping[object, object], column: str | None) -> str:
        """The text of a column that a row may leave empty."""
        value = row.get(column) if column else None
        if value is None or (isinstance(value, str) and not value.strip()):
            return ""
        return text_of(value, f'Column "{column}"')


def require_object(row: object) -> Mapping[object, object]:
    """The row, whose columns have names; raises `DataError`."""
    if not isinstance(row, dict):
        raise DataError(
            f"The row is {kind_of(row)}, not an object.",
            remedy='Write it as an object, for example {"prompt": "...", "response": "..."}.',
        )
    return row


def find_layout(columns: Sequence[str], mapping: ColumnMapping = FOUND_BY_NAME) -> Layout:
    """The layout of a file with these columns; columns that are given win over those found by name.

    `instruction` takes in a column `input`, as in Alpaca. Raises `DataError` when a given column does not exist or no
    layout fits.
    """
    _require_known(columns, mapping)
    system = mapping.system_column or (_SYSTEM if _SYSTEM in columns else None)
    found = _conversations(columns, mapping, system) or _pair(columns, mapping, system)
    if found and mapping.system_column in (found.prompt, found.response):
        raise DataError(
            f'Column "{mapping.system_column}" cannot be the system prompt as well.',
            field="data.source.system_column",
            remedy="Choose another, or leave it empty.",
        )
    if found:
        return found
    known = ", ".join([*_CHATS, *(f"{prompt} and {response}" for prompt, response in _PAIRS)])
    raise NoLayoutError(
        f"No prompt and response found; the columns are {_listing(columns)}.",
        field="data.source",
        remedy=f"Name the two columns, or rename them to one of: {known}.",
    )


class NoLayoutError(DataError):
    """Nothing is wrong with the file, but somebody has to say which columns to read."""


def _require_known(columns: Sequence[str], mapping: ColumnMapping) -> None:
    given = mapping.model_dump(
        include={"prompt_column", "response_column", "system_column", "conversation_column"}, exclude_none=True
    )
    unknown = [
        Problem(
            f'There is no column "{printable(name[:40])}"; the columns are {_listing(columns)}.',
            f"data.source.{field}",
            "Choose one of them, or leave the field empty to have it found by name.",
        )
        for field, name in given.items()
        if name and name not in columns
    ]
    if unknown:
        raise DataError.of(unknown)


def _conversations(columns: Sequence[str], mapping: ColumnMapping, system: str | None) -> Layout | None:
    pair = mapping.prompt_column or mapping.response_column
    column = mapping.conversation_column or (pair if mapping.prompt_column == mapping.response_column else None)
    if column is None and not pair and mapping.layout in ("auto", "messages", "sharegpt"):
        # A layout that was given looks for its own name first.
        names = sorted(_CHATS, key=lambda name: _CHATS[name] != mapping.layout)
        column = next((name for name in names if name in columns), None)
    if column is None:
        return None
    name = _CHATS.get(column, "messages") if mapping.layout == "auto" else mapping.layout
    return Layout(name, column, column, system=system if system != column else None)


def _pair(columns: Sequence[str], mapping: ColumnMapping, system: str | None) -> Layout | None:
    if mapping.layout in ("messages", "sharegpt"):
        return None
    given = mapping.prompt_column, mapping.response_column
    pairs = (_ALPACA,) if mapping.layout == "alpaca" else _PAIRS
    # A given column's usual partner comes before other names that also occur.
    for pair in sorted(pairs, key=lambda pair: pair[0] != given[0] and pair[1] != given[1]):
        prompt, response = given[0] or pair[0], given[1] or pair[1]
        if prompt != response and prompt in columns and response in columns:
            takes_input = prompt == "instruction" and "input" not in (response, mapping.system_column)
            context = "input" if takes_input and "input" in columns and mapping.layout != "pairs" else None
            used = (prompt, response, context)
            name: LayoutName = "alpaca" if (prompt, response) == _ALPACA and mapping.layout != "pairs" else "pairs"
            return Layout(name, prompt, response, context, system if system not in used else None)
    return None


def _listing(columns: Sequence[str]) -> str:
    names = [f'"{name[:40]}"' for name in columns[:_COLUMNS_SHOWN]]
    if len(columns) > _COLUMNS_SHOWN:
        names.append(f"and {len(columns) - _COLUMNS_SHOWN:,} more")
    return ", ".join(names) or "none"
