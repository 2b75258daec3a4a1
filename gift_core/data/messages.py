"""A message of a conversation, {role, content} or {from, value} as ShareGPT writes it: speaker, text, and weight."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from gift_core.data.cells import is_nothing, json_in, list_in, require_whole_json
from gift_core.data.examples import Role
from gift_core.data.limits import MOST_MESSAGES
from gift_core.data.texts import kind_of, printable, text_of
from gift_core.data.unlearnable import require_learnable_message
from gift_core.errors import DataError

# The usual names of the speakers, those of ShareGPT, and what newer programs call two of them.
_SPEAKERS: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "developer": "system",
    "model": "assistant",
}
_TOOLS = frozenset(
    {
        *("tool", "tool_call", "tool_response", "tool_result", "function", "function_call", "function_response"),
        *("observation", "ipython"),
    }
)
_PLAIN = frozenset({"role", "content", "from", "value"})
_REASONING = ("reasoning_content", "reasoning", "thinking")
# Whether a message is learned, as trainers call it; the last one means the opposite.
_LEARNED, _NOT_LEARNED = ("weight", "train", "training", "trainable", "loss"), ("masked",)
# A known speaker in a text of messages, as JSON or Python quotes it.
_SPEAKER = re.compile(rf"""(["'])(?:role|from)\1\s*:\s*["'](?:{"|".join((*_SPEAKERS, *sorted(_TOOLS)))})["']""")
# How a list of messages begins.
_MESSAGES = re.compile(r"""\s*\[\s*\{\s*"(?:role|from|content)"\s*:""")
_SAID = re.compile(r"""(["'])(?:content|value)\1\s*:""")
_YES_OR_NO = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}


class Message(NamedTuple):
    """A message as it is written in its row; `where` names it there."""

    fields: Mapping[object, object]
    role: Role
    where: str

    @classmethod
    def of(cls, value: object, where: str) -> Message:
        """Read who speaks; raises `DataError`."""
        if not isinstance(value, dict):
            raise _unknown_speaker(where)
        # Parquet gives every message all keys that any of them has.
        names = [value[key] for key in ("role", "from") if value.get(key) is not None]
        roles = list(dict.fromkeys(_SPEAKERS[name] for name in names if isinstance(name, str) and name in _SPEAKERS))
        if names and isinstance(names[0], str) and names[0].lower() in _TOOLS:
            raise DataError(
                f'{_begun(where)} is from "{names[0]}": tool calls cannot be learned from.',
                remedy="Delete the row, or write the calls and their results into the text.",
            )
        if not names or not isinstance(names[0], str) or names[0] not in _SPEAKERS:
            raise _unknown_speaker(where, names[0] if names else None)
        if len(roles) > 1:
            raise DataError(f'"role" and "from" of {where} name two speakers.', remedy="Delete one of them.")
        return cls(value, roles[0], where)

    @property
    def is_empty(self) -> bool:
        """Whether the message has no text."""
        content = self.fields.get("content")
        if isinstance(content, list):
            content = [
                part.get("text") if _type_of(part) in _TEXTS and isinstance(part, dict) else part for part in content
            ]
        return is_nothing(content) and is_nothing(self.fields.get("value"))

    def is_learned(self) -> bool | None:
        """Return whether its weight or another switch has it learned, None without one; raises `DataError`."""
        found: dict[str, bool] = {}
        if self._is_plain:
            return None
        for name in (*_LEARNED, *_NOT_LEARNED):
            value = self.fields.get(name)
            if value is not False and is_nothing(value):
                continue
            switch = _YES_OR_NO.get(str(value).lower()) if isinstance(value, str | int | float) else None
            if switch is None:
                raise DataError(
                    f'"{name}" of {self.where} is neither 0 nor 1.',
                    remedy="Write 1 to learn the message, 0 to have it read only, or leave it out.",
                )
            found[name] = switch is (name in _LEARNED)
        if len(set(found.values())) > 1:
            names = " and ".join(f'"{name}"' for name in found)
            raise DataError(f"{names} of {self.where} contradict each other.", remedy="Keep one of them.")
        return next(iter(found.values()), None)

    def text(self) -> str:
        """Return its text, without reasoning in a field of its own; raises `DataError`."""
        content, value = self.fields.get("content"), self.fields.get("value")
        if not is_nothing(content) and not is_nothing(value) and value != content:
            raise DataError(f'{_begun(self.where)} has both "content" and "value".', remedy="Delete one of them.")
        said = value if is_nothing(content) and value is not None else content
        joined = _joined(said, self.where) if isinstance(said, list) else said
        return text_of(joined, f"The text of {self.where}")

    def reasoning(self) -> str:
        """Return the reasoning that a field or a part of its own holds, "" if none; raises `DataError`."""
        found = [self._text_in(name) for name in _REASONING if not is_nothing(self.fields.get(name))]
        found += map(_thought, self._thoughts())
        texts = list(dict.fromkeys(text.strip() for text in found if text.strip()))
        if len(texts) > 1:
            raise DataError(f"{_begun(self.where)} has two different reasonings.", remedy="Keep one of them.")
        return texts[0] if texts else ""

    @property
    def _is_plain(self) -> bool:
        """Whether it has a speaker and a text, and nothing else."""
        return self.fields.keys() <= _PLAIN and not isinstance(self.fields.get("content"), list)

    def _thoughts(self) -> list[object]:
        """The parts of the text that are reasoning."""
        content = self.fields.get("content")
        return [part for part in content if _type_of(part) in _THOUGHTS] if isinstance(content, list) else []

    def _text_in(self, name: str) -> str:
        value = self.fields[name]
        joined = _joined(value, self.where) if isinstance(value, list) else value
        return text_of(joined, f'"{name}" of {self.where}')

    def require_readable(self) -> None:
        """Raise `DataError` if a field changes what a model would see, and cannot be read."""
        if self._is_plain:
            return
        require_learnable_message(self.fields, _begun(self.where))
        channel = self.fields.get("channel")
        if not is_nothing(channel) and channel != "final":
            raise DataError(
                f'{_begun(self.where)} is of the channel "{channel}", not of "final".',
                remedy="Write the reasoning as reasoning_content of the answer.",
            )
        reasons = any(not is_nothing(self.fields.get(name)) for name in _REASONING) or self._thoughts()
        if self.role != "assistant" and reasons:
            raise DataError(
                f"{_begun(self.where)} has reasoning, and is not from the assistant.",
                remedy="Delete the field, or write it into the text.",
            )
        if self.role != "assistant" and any(
            _YES_OR_NO.get(str(self.fields.get(name)).lower()) for name in _LEARNED if name != "weight"
        ):
            raise DataError(
                f"{_begun(self.where)} is to be learned, and is not from the assistant.",
                remedy="Set it to false: what the assistant says is learned.",
            )


def messages_of(value: object, column: str) -> list[Message]:
    """The messages of a list; raises `DataError`."""
    if not isinstance(value, list) or not value:
        raise DataError(
            f'Column "{column}" is not a list of messages, but {"an empty list" if value == [] else kind_of(value)}.',
            remedy='Write [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}].',
        )
    if len(value) > MOST_MESSAGES:
        raise DataError(
            f'Column "{column}" has {len(value):,} messages; the most is {MOST_MESSAGES:,}.',
            remedy="Split the conversation, or delete the row.",
        )
    return [Message.of(message, f'message {number} of column "{column}"') for number, message in enumerate(value, 1)]


def messages_in(cell: object, column: str) -> list[Message] | None:
    """Return the messages of a cell that holds a list of objects or a single message, None for any other cell.

    A text holds messages if it is JSON of them. Raises `DataError` for messages that cannot be read.
    """
    if isinstance(cell, str):
        return _messages_in_text(cell, column)
    found = [cell] if isinstance(cell, dict) and _is_message(cell) else cell
    has_objects = isinstance(found, list) and any(isinstance(message, dict) for message in found)
    return messages_of(found, column) if has_objects else None


def _messages_in_text(text: str, column: str) -> list[Message] | None:
    ends = text.strip()[:1] + text.strip()[-1:]
    if _MESSAGES.match(text):
        require_whole_json(text, f'Column "{column}"')
    if ends not in ("[]", "{}") or not (_SPEAKER.search(text) and _SAID.search(text)):
        return None
    found = json_in(text)
    if isinstance(found, str):
        # No JSON, though a speaker is named in it.
        found = list_in(text, f'Column "{column}"') if ends == "[]" else found
    members = found if isinstance(found, list) else [found]
    return messages_of(members, column) if all(map(_is_message, members)) else None


def _is_message(value: object) -> bool:
    """Whether a value has a known speaker and a text."""
    if not isinstance(value, dict) or not ("content" in value or "value" in value):
        return False
    speakers = [value[key] for key in ("role", "from") if value.get(key) is not None]
    return bool(speakers) and isinstance(speakers[0], str) and speakers[0].lower() in {*_SPEAKERS, *_TOOLS}


_TEXTS = frozenset({"text", "input_text", "output_text"})
_THOUGHTS = frozenset({"thinking", "reasoning"})


def _type_of(part: object) -> object:
    """The type of a part of a message; a bare text and an object with nothing but text are text."""
    if isinstance(part, str):
        return "text"
    if not isinstance(part, dict):
        return kind_of(part)
    if not is_nothing(part.get("type")):
        return part["type"]
    return "text" if isinstance(part.get("text"), str) else "an object without a type"


def _joined(parts: list[object], where: str) -> str:
    """The texts of the parts, one after the other as they are; raises `DataError` for a part of another kind."""
    texts = []
    for number, part in enumerate(parts, 1):
        kind = _type_of(part)
        if kind in _THOUGHTS:
            continue
        text = part if isinstance(part, str) else part.get("text") if isinstance(part, dict) else None
        if kind not in _TEXTS or not isinstance(text, str):
            raise DataError(
                f"Part {number} of {where} is {kind}, not text.",
                remedy="Delete the row, or describe it in the text: only text is learned.",
            )
        if isinstance(part, dict):
            require_learnable_message(part, f"Part {number} of {where}")
        texts.append(text)
    return "".join(texts)


def _thought(part: object) -> str:
    if not isinstance(part, dict):
        return ""
    return next((part[key] for key in ("thinking", "reasoning", "text") if isinstance(part.get(key), str)), "")


def _unknown_speaker(where: str, name: object = None) -> DataError:
    shown = f', "{printable(name)[:40]}",' if isinstance(name, str) else ""
    return DataError(
        f"The speaker of {where}{shown} is not one of {', '.join(_SPEAKERS)}.",
        remedy="Write one of these, or delete the row." if shown else 'Give the message a "role" and its "content".',
    )


def _begun(where: str) -> str:
    return where[:1].upper() + where[1:]
