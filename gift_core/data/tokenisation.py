"""Text to token ids: chat rendering with a strict prompt prefix, and the EOS tail that teaches a model to stop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerFast

from gift_core.data.examples import Example, Turn
from gift_core.data_spec import DataSpec, EosTail
from gift_core.errors import DataError, Problem
from gift_core.models.folder.tokenizer import faults_in_words
from gift_core.models.special_tokens import end_of_turn_id, rendered_turns
from gift_core.models.template_date import dated
from gift_core.spec import SamplingSpec

# Shown row problems; a file with one wrong column would otherwise list all of its rows.
SHOWN_PROBLEMS = 20


@dataclass(frozen=True)
class TokenisedExample:
    """`input_ids[:prompt_length]` is the prompt, the rest the response with the EOS tail as its last tokens."""

    id: int
    input_ids: tuple[int, ...]
    prompt_length: int
    tail_length: int

    @property
    def response_length(self) -> int:
        return len(self.input_ids) - self.prompt_length

    def padded(self, length: int, eos_id: int) -> TokenisedExample:
        """The example with its EOS tail continued up to `length` tokens in all; itself where it is that long."""
        more = length - len(self.input_ids)
        if more <= 0:
            return self
        return replace(self, input_ids=(*self.input_ids, *[eos_id] * more), tail_length=self.tail_length + more)

    def cut(self, length: int) -> TokenisedExample | None:
        """The first `length` tokens, or None where nothing of the response would be left."""
        if length <= self.prompt_length:
            return None
        text = len(self.input_ids) - self.tail_length
        return replace(self, input_ids=self.input_ids[:length], tail_length=max(0, length - text))


class Encoder:
    """Turns prompts and responses into ids the way one model was taught: the chat template is rendered once."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        # What the template writes around turns, by their roles.
        self._frames: dict[tuple[str, ...], list[list[int]] | None] = {}
        # Each id once: the tokenizer makes a number of its own, of 32 bytes, of every token of a data set.
        self._ids: dict[int, int] = {}
        # In characters: a token never stands for more of them than its name has.
        self.longest_token = max(len(token) for token in tokenizer.get_vocab())

    def text(self, text: str) -> list[int]:
        """Ids of plain text; what looks like a special token in it stays text."""
        with faults_in_words():
            return self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)

    def prompt(self, text: str, history: Sequence[Turn] = ()) -> list[int]:
        """The user's turn after those before it, and the assistant's header: what every response to it follows.

        Raises `DataError` where the model's template does not take such turns.
        """
        turns, frame = self._framed([*history, Turn("user", text)])
        if frame is None:
            raise DataError(
                f"The model's chat template does not take the turns {', '.join(turn.role for turn in turns)}.",
                remedy="Let user and assistant take turns, with one system message at the start at most.",
            )
        ids = [*frame[0]]
        for turn, after in zip(turns, frame[1:], strict=True):
            ids += self.text(turn.text) + after
        return ids

    def _framed(self, turns: list[Turn]) -> tuple[list[Turn], list[list[int]] | None]:
        """The turns as the template takes them, and what it writes around them; None where it does not."""
        frame = self._frame(turns)
        if frame is None and len(turns) > 1 and turns[0].role == "system" and turns[1].role == "user":
            # A template without a system turn: its text then begins the user's.
            turns = [Turn("user", f"{turns[0].text}\n\n{turns[1].text}"), *turns[2:]]
            frame = self._frame(turns)
        return turns, frame

    def _frame(self, turns: Sequence[Turn]) -> list[list[int]] | None:
        roles = tuple(turn.role for turn in turns)
        if roles not in self._frames:
            parts = rendered_turns(self.tokenizer, roles)
            with faults_in_words():
                encoded = [self.tokenizer.encode(part, add_special_tokens=False) for part in parts] if parts else None
            self._frames[roles] = encoded
        return self._frames[roles]

    def response(self, text: str, eos_tail: EosTail, block_length: int) -> tuple[list[int], int]:
        """Response ids with their end of turn and EOS tail, and the length of that tail.

        `block` pads with EOS to a multiple of `block_length`, so that fixed-length denoising learns where to stop.
        The others add one EOS, which is where `longest` and `max` go on from.
        """
        ids = [*self.text(text), end_of_turn_id(self.tokenizer)]
        tail = -len(ids) % block_length if eos_tail == "block" else 1
        return ids + [self.tokenizer.eos_token_id] * tail, tail

    def example(self, example: Example, data: DataSpec, sampling: SamplingSpec) -> TokenisedExample:
        """Tokenise one example; its length is not limited here. Raises `DataError` that names its row."""
        try:
            return self._example(example, data, sampling)
        except DataError as error:
            raise DataError.of([replace(error.problems[0], field=f"row {example.id}")]) from error

    def _example(self, example: Example, data: DataSpec, sampling: SamplingSpec) -> TokenisedExample:
        prompt = self.prompt(example.prompt, example.history)
        response, tail = self.response(example.response, data.eos_tail, sampling.block_length)
        ids = [*prompt, *response]
        tokenised = TokenisedExample(example.id, tuple(map(self._ids.setdefault, ids, ids)), len(prompt), tail)
        # `longest` is up to the batch, where its neighbours are known.
        return tokenised.padded(data.max_length, self.tokenizer.eos_token_id) if data.eos_tail == "max" else tokenised


@dataclass(frozen=True)
class Tokenised:
    """The examples that can be used, and how many were too long: cut, or left out."""

    examples: list[TokenisedExample]
    truncated: int = 0
    dropped: int = 0


def tokenise_all(
    examples: Iterable[Example],
    tokenizer: PreTrainedTokenizerFast,
    data: DataSpec,
    sampling: SamplingSpec,
    context_length: int,
) -> Tokenised:
    """Tokenise a data set; examples over the limit go the way of `data.overlong`.

    Raises `DataError` that names every row too long to be used, or whose turns the model's template does not take.
    """
    encoder = Encoder(dated(tokenizer, data.template_date))
    limit = min(data.max_length, context_length)
    if data.eos_tail == "max":
        data = data.model_copy(update={"max_length": limit})
    tokenised: list[TokenisedExample] = []
    problems: list[Problem] = []
    truncated = dropped = 0
    for example in examples:
        try:
            item, tokens = _measured(example, encoder, data, sampling, limit)
        except DataError as error:
            problems.append(error.problems[0])
            continue
        if item and len(item.input_ids) <= limit:
            tokenised.append(item)
            continue
        cut = item.cut(limit) if item and data.overlong == "truncate" else None
        if cut is not None:
            tokenised.append(cut)
            truncated += 1
        elif data.overlong == "refuse":
            problems.append(_too_long(example.id, tokens, data.max_length, context_length))
        else:
            # Where the prompt alone fills the limit, nothing is left to learn.
            dropped += 1
    if problems:
        hidden = len(problems) - SHOWN_PROBLEMS
        more = [Problem(f"and {hidden:,} more rows.")] if hidden > 0 else []
        raise DataError.of(problems[:SHOWN_PROBLEMS] + more)
    return Tokenised(tokenised, truncated, dropped)


def _measured(
    example: Example, encoder: Encoder, data: DataSpec, sampling: SamplingSpec, limit: int
) -> tuple[TokenisedExample | None, str]:
    """The example, or as much of it as is needed to cut it at the limit; and how long it is, in words."""
    most = limit * encoder.longest_token
    if example.asked + len(example.response) > most:
        # A row of megabytes would take minutes to encode, only to be refused: its beginning is more than fits.
        if data.overlong != "truncate" or example.asked > most:
            return None, f"more than {limit} tokens"
        example = replace(example, response=example.response[:most])
    item = encoder.example(example, data, sampling)
    tokens = f"{len(item.input_ids)} tokens ({item.prompt_length} prompt, {item.response_length} response)"
    return item, tokens


def _too_long(row: int, tokens: str, max_length: int, context_length: int) -> Problem:
    if context_length <= max_length:
        message = f"The example has {tokens}, but the model's context holds {context_length}."
        remedy = "Set data.overlong to truncate or drop, or choose a model with a longer context."
    else:
        message = f"The example has {tokens}, and data.max_length is {max_length}."
        remedy = f"Raise data.max_length (up to {context_length}), or set data.overlong to truncate or drop."
    return Problem(message, f"row {row}", remedy)
