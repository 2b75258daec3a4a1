"""Where the rows of a data set keep their prompt and their response."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from gift_core.data import known_formats as known
from gift_core.data.cells import is_nothing, joined_texts, json_in, list_in, written_list
from gift_core.data.conversations import (
    Cell,
    Conversation,
    answer_of,
    history_of,
    learned_conversation,
    prompted_conversation,
)
from gift_core.data.examples import Turn
from gift_core.data.messages import messages_in, messages_of
from gift_core.data.reasoning import rendered
from gift_core.data.texts import kind_of, printable, text_of
from gift_core.data.unlearnable import require_learnable_row
from gift_core.data_spec import ColumnMapping, LayoutName, ReasoningForm
from gift_core.errors import DataError, Problem

Row = Mapping[object, object]
_COLUMNS_SHOWN = 20
FOUND_BY_NAME = ColumnMapping()
_CONVERSATIONAL = ("sharegpt", "messages")
# What a column called reasoning or thinking may hold in place of reasoning.
_SWITCHES = frozenset({"on", "off", "true", "false", "yes", "no", "low", "medium", "high"})
# The fields that name a column, and what people call its use.
_USES = {
    "prompt_column": "prompt",
    "response_column": "response",
    "context_column": "context of the prompt",
    "history_column": "turns before the prompt",
    "reasoning_column": "reasoning",
    "system_column": "system prompt",
    "conversation_column": "conversation",
}


class Exchange(NamedTuple):
    """What is asked and what is learned; `history` are the turns before the prompt, a system turn first."""

    prompt: str
    response: str
    history: tuple[Turn, ...] = ()


@dataclass(frozen=True)
class Layout:
    """The columns that are read; one column for prompt and response holds a conversation.

    `recognised` is the title of the well-known data set that has these columns.
    """

    name: LayoutName
    prompt: str
    response: str
    context: str | None = None
    system: str | None = None
    history: str | None = None
    reasoning: str | None = None
    reasoning_form: ReasoningForm = "protocol"
    recognised: str | None = None

    @property
    def is_conversation(self) -> bool:
        return self.prompt == self.response

    @cached_property
    def used(self) -> tuple[str, ...]:
        """The columns that are read, each once, in the order in which a model sees them."""
        columns = (self.system, self.history, self.prompt, self.context, self.reasoning, self.response)
        return tuple(dict.fromkeys(column for column in columns if column is not None))

    def mapping(self) -> ColumnMapping:
        """Return the mapping that gives this layout for a file with the same columns."""
        conversation = {"conversation_column": self.prompt}
        pair = {"prompt_column": self.prompt, "response_column": self.response}
        return ColumnMapping.model_validate(
            {
                "layout": self.name,
                "context_column": self.context,
                "history_column": self.history,
                "reasoning_column": self.reasoning,
                "system_column": self.system,
                "reasoning": self.reasoning_form,
            }
            | (conversation if self.is_conversation else pair)
        )

    def read(self, value: object) -> Exchange:
        """Return the row's prompt, response and earlier turns; raises `DataError` that names what is wrong."""
        row = require_object(value)
        require_learnable_row(row, self.used)
        conversation = self._conversation(row) if self.is_conversation else self._pair(row)
        response = self._response(row, conversation)
        *turns, asked = conversation.turns
        # A text is a passage as it is: Alpaca asks about lists in brackets.
        context = joined_texts(row.get(self.context), f'Column "{self.context}"', "\n\n") if self.context else ""
        prompt = f"{asked.text}\n\n{context}" if context else asked.text
        return Exchange(prompt, response, self._before(row, turns))

    def _conversation(self, row: Row) -> Conversation:
        cell = list_in(row.get(self.prompt), f'Column "{self.prompt}"')
        _require_no_history(row, self.used)
        return learned_conversation(messages_of(cell, self.prompt), self.prompt, self.reasoning_form)

    def _pair(self, row: Row) -> Conversation:
        prompt, response = row.get(self.prompt), row.get(self.response)
        asked, answers = messages_in(prompt, self.prompt), messages_in(response, self.response)
        if asked or answers:
            cells = Cell(self.prompt, prompt, asked), Cell(self.response, response, answers)
            return prompted_conversation(*cells, self.reasoning_form)
        where = f'response (column "{self.response}")'
        question = Turn("user", text_of(prompt, f'The prompt (column "{self.prompt}")'))
        return Conversation([question], text_of(response, f"The {where}"), "", f"the {where}")

    def _response(self, row: Row, found: Conversation) -> str:
        """The response with its reasoning, which a column, a field of its message or a <think> block holds."""
        beside = self._reasoning(row)
        if beside and found.reasoning and beside != found.reasoning:
            raise DataError(
                f'Column "{self.reasoning}" and {found.where} have two different reasonings.',
                remedy="Keep one of them.",
            )
        answer = answer_of(found.text, beside or found.reasoning, self.reasoning_form, found.where)
        return rendered(answer, self.reasoning_form)

    def _reasoning(self, row: Row) -> str:
        """The text of the reasoning column, whose steps stand below each other."""
        if self.reasoning is None:
            return ""
        what, cell = f'Column "{self.reasoning}"', row.get(self.reasoning)
        if cell is True or (isinstance(cell, str) and cell.strip().lower() in _SWITCHES):
            raise DataError(
                f'{what} is "{cell}": it says whether a model reasoned, and is not the reasoning.',
                remedy="Rename or delete the column, or set data.source.layout to pairs to leave it out.",
            )
        return joined_texts(written_list(cell, what), what, "\n").strip()

    def _before(self, row: Row, turns: Sequence[Turn]) -> tuple[Turn, ...]:
        """The turns before the prompt, a system turn first; one of the conversation comes before the system column."""
        cell = list_in(row.get(self.history), f'Column "{self.history}"') if self.history else None
        earlier = [] if is_nothing(cell) else history_of(cell, str(self.history), self.reasoning_form)
        given = [*earlier, *turns]
        inside = list(dict.fromkeys(turn for turn in given if turn.role == "system"))
        if len(inside) > 1:
            raise DataError(
                f'Columns "{self.history}" and "{self.prompt}" have two different system messages.',
                remedy="Keep one of them.",
            )
        system = self._optional(row, self.system)
        first = inside or ([Turn("system", system)] if system else [])
        return (*first, *(turn for turn in given if turn.role != "system"))

    @staticmethod
    def _optional(row: Row, column: str | None) -> str:
        """The text of a column that a row may leave empty."""
        value = row.get(column) if column else None
        return "" if is_nothing(value) else text_of(value, f'Column "{column}"')


def _require_no_history(row: Row, used: Sequence[str]) -> None:
    """Raise `DataError` for turns in a column beside a conversation, which has its own."""
    for name in known.HISTORY:
        cell = json_in(row.get(name))
        if name not in used and isinstance(cell, list) and not is_nothing(cell):
            raise DataError(
                f'Column "{name}" has turns, and so has the conversation.',
                remedy="Write them into the conversation, or delete the column.",
            )


def require_object(row: object) -> Row:
    """The row, whose columns have names; raises `DataError`."""
    if not isinstance(row, dict):
        is_conversation = isinstance(row, list) and any(isinstance(m, dict) and _is_message(m) for m in row)
        example = '{"messages": [...]}' if is_conversation else '{"prompt": "...", "response": "..."}'
        raise DataError(
            f"The row is {kind_of(row)}, not an object.",
            remedy=f"Write it as an object, for example {example}.",
        )
    return row


def _is_message(names: Collection[object]) -> bool:
    """Whether these are the names in one message, not in a row."""
    return any({*keys} <= {*names} for keys in (("role", "content"), ("from", "value")))


class NoLayoutError(DataError):
    """The file can be read, but which of its columns hold prompt and response has to be chosen."""


def find_layout(columns: Sequence[str], mapping: ColumnMapping = FOUND_BY_NAME) -> Layout:
    """The layout of a file with these columns; columns that are given win over those found by name.

    Raises `DataError` if a given column does not exist or has two uses, and `NoLayoutError` if no layout fits.
    """
    _require_known(columns, mapping)
    found = _conversations(columns, mapping) or _pair(columns, mapping) or _chosen_conversation(columns, mapping)
    if not found:
        raise _no_layout(columns)
    layout = _with_companions(found, columns, mapping)
    _require_one_use(layout, mapping)
    return replace(
        layout,
        reasoning_form=mapping.reasoning,
        recognised=known.recognised(layout.prompt, layout.response, columns),
    )


def _conversations(columns: Sequence[str], mapping: ColumnMapping) -> Layout | None:
    pair = mapping.prompt_column or mapping.response_column
    column = mapping.conversation_column or (pair if mapping.prompt_column == mapping.response_column else None)
    if column is None and not pair and mapping.layout == "auto" and (asking := _preference_of_conversation(columns)):
        return Layout("pairs", *asking)
    if column is None and not pair and mapping.layout in ("auto", *_CONVERSATIONAL):
        # A layout that was given looks for its own name first.
        names = sorted(known.CONVERSATIONS, key=lambda name: known.CONVERSATIONS[name] != mapping.layout)
        column = next((name for name in names if name in columns), None)
    if column is None:
        return None
    is_given = mapping.layout in _CONVERSATIONAL
    name = mapping.layout if is_given else known.CONVERSATIONS.get(column, "messages")
    return Layout(name, column, column)


def _pair(columns: Sequence[str], mapping: ColumnMapping) -> Layout | None:
    if mapping.layout in _CONVERSATIONAL:
        return None
    for prompt, response in _pairs(columns, mapping):
        if prompt != response and prompt in columns and response in columns:
            is_alpaca = (prompt, response) == known.ALPACA and mapping.layout != "pairs"
            return Layout("alpaca" if is_alpaca else "pairs", prompt, response)
    return None


def _pairs(columns: Sequence[str], mapping: ColumnMapping) -> Iterator[tuple[str, str]]:
    """Pairs of columns to look for, the best first; a given column replaces that of each pair."""
    given = mapping.prompt_column, mapping.response_column
    preferences = known.PREFERENCES if known.REJECTED in columns else ()
    groups = [(known.ALPACA,)] if mapping.layout == "alpaca" else [known.PAIRS, (*known.LATER_PAIRS, *preferences)]
    for pairs in groups:
        # A given column's usual partner comes before other names that also occur.
        for prompt, response in sorted(pairs, key=lambda pair: pair[0] != given[0] and pair[1] != given[1]):
            yield given[0] or prompt, given[1] or response


def _preference_of_conversation(columns: Sequence[str]) -> tuple[str, str] | None:
    """Return the columns of preference pairs whose prompt is a conversation, not a column of its own."""
    if not {known.CHOSEN, known.REJECTED} <= set(columns) or any(prompt in columns for prompt, _ in known.PREFERENCES):
        return None
    return next((pair for pair in known.ASKING_CONVERSATIONS if pair[0] in columns), None)


def _chosen_conversation(columns: Sequence[str], mapping: ColumnMapping) -> Layout | None:
    """Preference pairs whose two conversations begin with the prompt."""
    named = mapping.prompt_column or mapping.response_column
    if named or mapping.layout in ("pairs", "alpaca") or not {known.CHOSEN, known.REJECTED} <= set(columns):
        return None
    return Layout("messages" if mapping.layout == "auto" else mapping.layout, known.CHOSEN, known.CHOSEN)


def _with_companions(layout: Layout, columns: Sequence[str], mapping: ColumnMapping) -> Layout:
    """The layout with the columns that belong to its prompt and response: those given, else those found by name.

    Layout `pairs` and a conversation find a system prompt only. A pair that was named whole is complete, but that
    `instruction` takes in its input.
    """
    taken = {layout.prompt, layout.response, *(getattr(mapping, field) for field in _USES)}

    def first(names: Sequence[str]) -> str | None:
        return next((name for name in names if name in columns and name not in taken), None)

    finds = mapping.layout != "pairs" and not layout.is_conversation
    is_named = bool(mapping.prompt_column and mapping.response_column)
    takes_input = layout.prompt == known.ALPACA[0]
    context = known.CONTEXT if takes_input else () if is_named else known.CONTEXT[1:]
    return replace(
        layout,
        system=mapping.system_column or first(known.SYSTEM),
        context=mapping.context_column or (first(context) if finds else None),
        history=mapping.history_column or (first(known.HISTORY) if finds else None),
        reasoning=mapping.reasoning_column or (first(_reasoning_of(layout)) if finds and not is_named else None),
    )


def _reasoning_of(layout: Layout) -> Sequence[str]:
    """Names of a reasoning column, the partner of the response first: gemini_attempt has its own trajectory."""
    model = layout.response.partition("_")[0]
    return sorted(known.REASONING, key=lambda name: not name.startswith(f"{model}_"))


def _require_known(columns: Sequence[str], mapping: ColumnMapping) -> None:
    given = {field: getattr(mapping, field) for field in _USES}
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


def _require_one_use(layout: Layout, mapping: ColumnMapping) -> None:
    uses = {layout.prompt: "prompt", layout.response: "response"}
    for field in ("context_column", "history_column", "reasoning_column", "system_column"):
        name = getattr(mapping, field)
        if name in uses:
            raise DataError(
                f'Column "{printable(name[:40])}" cannot be the {_USES[field]} as well.',
                field=f"data.source.{field}",
                remedy="Choose another, or leave it empty.",
            )
        if name:
            uses[name] = _USES[field]


def _no_layout(columns: Sequence[str]) -> DataError:
    if len(columns) == 1 and columns[0] in known.WHOLE_TEXTS:
        return DataError(
            f'The file has one column, "{columns[0]}", and nothing says where its prompts end and its responses begin.',
            field="data.source",
            remedy="Write prompt and response as two columns, or as a list of messages.",
        )
    if _is_message(columns):
        return NoLayoutError(
            f"Each row is one message; the columns are {_listing(columns)}.",
            field="data.source",
            remedy='Write a row for each conversation: {"messages": [{"role": ..., "content": ...}, ...]}.',
        )
    names = ", ".join([*known.CONVERSATIONS, *(f"{prompt} and {response}" for prompt, response in known.PAIRS)])
    return NoLayoutError(
        f"No prompt and response found; the columns are {_listing(columns)}.",
        field="data.source",
        remedy=f"Name the two columns, or rename them to one of: {names}. docs/datasets.md lists more.",
    )


def _listing(columns: Sequence[str]) -> str:
    names = [f'"{name[:40]}"' for name in columns[:_COLUMNS_SHOWN]]
    if len(columns) > _COLUMNS_SHOWN:
        names.append(f"and {len(columns) - _COLUMNS_SHOWN:,} more")
    return ", ".join(names) or "none"
