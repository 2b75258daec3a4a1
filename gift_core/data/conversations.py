"""Conversations of messages: the turns before the answer that is learned, and that answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gift_core.data.cells import is_nothing
from gift_core.data.examples import Role, Turn
from gift_core.data.messages import Message, messages_of
from gift_core.data.reasoning import Reasoned, split_think
from gift_core.data.texts import kind_of, text_of
from gift_core.data_spec import ReasoningForm
from gift_core.errors import DataError


class Conversation(NamedTuple):
    """The turns before an answer, the last of them the user's, and that answer, which `where` names.

    `reasoning` is what a field of the answer's message holds.
    """

    turns: list[Turn]
    text: str
    reasoning: str
    where: str


def learned_conversation(messages: Sequence[Message], column: str, form: ReasoningForm, first: int = 0) -> Conversation:
    """The turns up to the last answer to learn, and that answer; it is at `first` or later.

    Earlier answers are read as part of the prompt, without their reasoning; messages after the answer are left out,
    and so are empty system messages. Raises `DataError` about `column`.
    """
    last = _learned_place(messages, column, first)
    for message in messages[: last + 1]:
        message.require_readable()
    read = [message for message in messages[:last] if not (message.role == "system" and message.is_empty)]
    turns = [Turn(message.role, _text(message, form)) for message in read]
    if any(turn.role == "system" for turn in turns[1:]):
        raise DataError(
            f'Column "{column}" has a system message after the first message.',
            remedy="Put it first, or join it to the user's message.",
        )
    if not turns or turns[-1].role != "user":
        which = "learned" if any(message.role == "assistant" for message in messages[last + 1 :]) else "last"
        raise DataError(
            f'In column "{column}" the {which} message of the assistant does not answer a message of the user.',
            remedy="Add the user's message before it, or join messages of one speaker.",
        )
    answer = messages[last]
    return Conversation(turns, answer.text(), answer.reasoning(), answer.where)


class Cell(NamedTuple):
    """A prompt or a response: the value of its column, and the messages in it, None if it holds none."""

    column: str
    value: object
    messages: list[Message] | None


def prompted_conversation(prompt: Cell, response: Cell, form: ReasoningForm) -> Conversation:
    """The conversation of a prompt and a response of which at least one holds messages, and the other a text.

    A response that begins with the prompt, as in preference pairs, is the whole conversation. Raises `DataError`.
    """
    columns = prompt.column, response.column
    answers = response.messages or [_text_message(response.value, "assistant", response.column)]
    is_whole = answers[0].role != "assistant"
    if is_whole and not prompt.messages:
        _require_same_question(prompt.value, answers, columns)
        return learned_conversation(answers, response.column, form)
    asked = prompt.messages or [_text_message(prompt.value, "user", prompt.column)]
    if is_whole:
        messages, first = _whole_conversation(asked, answers, columns)
        return learned_conversation(messages, response.column, form, first)
    return learned_conversation([*asked, *answers], response.column, form, first=len(asked))


def answer_of(text: str, reasoning: str, form: ReasoningForm, where: str) -> Reasoned:
    """An answer with the reasoning that came beside it or stands before it in a <think> block.

    In the form `think` a text with such a block is its own answer. Raises `DataError` if both are there and differ.
    """
    if form == "think" and not reasoning:
        return Reasoned("", text)
    found = split_think(text, f"The text of {where}")
    if not reasoning:
        return found
    if found.reasoning and found.reasoning != reasoning:
        raise DataError(
            f"{where[:1].upper()}{where[1:]} has its reasoning twice: in a <think> block, and beside it.",
            remedy="Keep one of them.",
        )
    return Reasoned(reasoning, found.answer.strip())


def history_of(value: object, column: str, form: ReasoningForm) -> list[Turn]:
    """Turns before a prompt, from a list of [question, answer] pairs or of messages; raises `DataError`."""
    if not isinstance(value, list):
        raise DataError(
            f'Column "{column}" is {kind_of(value)}, not a list of turns.',
            remedy='Write [["question", "answer"], ...], or rename the column if it holds something else.',
        )
    if all(isinstance(item, dict) for item in value):
        messages = [message for message in messages_of(value, column) if not message.is_empty]
        for message in messages:
            message.require_readable()
        return [Turn(message.role, _text(message, form)) for message in messages]
    turns = []
    for number, pair in enumerate(value, 1):
        where = f'pair {number} of column "{column}"'
        if not isinstance(pair, list) or len(pair) != 2:
            raise DataError(
                f"{where[:1].upper()}{where[1:]} is not a list of a question and its answer.",
                remedy='Write [["question", "answer"], ...].',
            )
        answer = text_of(pair[1], f"The answer of {where}")
        turns += [Turn("user", text_of(pair[0], f"The question of {where}"))]
        turns += [Turn("assistant", answer_of(answer, "", form, where).answer)]
    return turns


def _learned_place(messages: Sequence[Message], column: str, first: int) -> int:
    answers = [place for place in range(first, len(messages)) if messages[place].role == "assistant"]
    if not answers:
        raise DataError(
            f'Column "{column}" has no message of the assistant, so there is no response.',
            remedy="Add it, or delete the row.",
        )
    learned = [place for place in answers if messages[place].is_learned() is not False]
    if not learned:
        raise DataError(
            f'Column "{column}" has no message of the assistant that is to be learned.',
            remedy="Give one of them the weight 1, or delete the row.",
        )
    return learned[-1]


def _text_message(value: object, role: Role, column: str) -> Message:
    """A text as the message of a speaker."""
    where = f'the {"prompt" if role == "user" else "response"} (column "{column}")'
    return Message({"role": role, "content": value}, role, where)


def _require_same_question(prompt: object, conversation: Sequence[Message], columns: tuple[str, str]) -> None:
    """Raise `DataError` unless the prompt is empty, or a question of the conversation."""
    questions = [message.text().strip() for message in conversation if message.role == "user" and not message.is_empty]
    if not is_nothing(prompt) and str(prompt).strip() not in questions:
        raise _another_question(columns)


def _whole_conversation(
    asked: Sequence[Message], conversation: Sequence[Message], columns: tuple[str, str]
) -> tuple[list[Message], int]:
    """A conversation with the system message of its prompt, and the place at which its prompt ends.

    Raises `DataError` unless it begins with the prompt.
    """
    system, own = ([m for m in part if m.role == "system" and not m.is_empty] for part in (asked, conversation))
    given, whole = ([m for m in part if m.role != "system"] for part in (asked, conversation))
    pairs = [*zip(given, whole, strict=False), *zip(system, own, strict=False)]
    same = all((one.role, one.text().strip()) == (other.role, other.text().strip()) for one, other in pairs)
    if not same or len(given) > len(whole):
        raise _another_question(columns)
    messages = [*([] if own else system), *conversation]
    # A prompt may hold the answer as well.
    return messages, min(len(messages) - len(whole) + len(given), len(messages) - 1)


def _another_question(columns: tuple[str, str]) -> DataError:
    return DataError(
        f'Column "{columns[1]}" holds a conversation that does not begin with column "{columns[0]}".',
        remedy=f'Begin it with the prompt, or name "{columns[1]}" as the conversation_column.',
    )


def _text(message: Message, form: ReasoningForm) -> str:
    """Return the text of a message before the prompt, without reasoning, as chat templates render earlier answers."""
    text = message.text()
    return answer_of(text, "", form, message.where).answer if message.role == "assistant" else text
