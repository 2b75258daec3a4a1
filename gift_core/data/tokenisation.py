"""Text to token ids: chat rendering with a strict prompt prefix, and the EOS tail that teaches a model to stop."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from transformers import PreTrainedTokenizerFast

from gift_core.data.examples import Example
from gift_core.errors import DataError, Problem
from gift_core.models.loading import end_of_turn_id
from gift_core.spec import DataSpec, SamplingSpec

# Shown row problems; a file with one wrong column would otherwise list all of its rows.
SHOWN_PROBLEMS = 20
_CONTENT = "\x00content\x00"


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


class Encoder:
    """Turns prompts and responses into ids the way one model was taught: the chat template is rendered once."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        rendered = tokenizer.apply_chat_template(
            [{"role": "user", "content": _CONTENT}], tokenize=False, add_generation_prompt=True
        )
        before, after = rendered.split(_CONTENT)
        self._before = tokenizer.encode(before, add_special_tokens=False)
        self._after = tokenizer.encode(after, add_special_tokens=False)
        # In characters: a token never stands for more of them than its name has.
        self.longest_token = max(len(token) for token in tokenizer.get_vocab())

    def text(self, text: str) -> list[int]:
        """Ids of plain text; what looks like a special token in it stays text."""
        return self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)

    def prompt(self, text: str) -> list[int]:
        """One user turn and the assistant's header: what every response to this prompt follows."""
        return [*self._before, *self.text(text), *self._after]

    def response(self, text: str, eos_tail: Literal["block", "one"], block_length: int) -> tuple[list[int], int]:
        """Response ids with their end of turn and EOS tail, and the length of that tail.

        `block` pads with EOS to a multiple of `block_length`, so that fixed-length denoising learns where to stop;
        `one` adds a single EOS.
        """
        ids = [*self.text(text), end_of_turn_id(self.tokenizer)]
        tail = 1 if eos_tail == "one" else -len(ids) % block_length
        return ids + [self.tokenizer.eos_token_id] * tail, tail

    def example(self, example: Example, data: DataSpec, sampling: SamplingSpec) -> TokenisedExample:
        """Tokenise one example; its length is not limited here."""
        prompt = self.prompt(example.prompt)
        response, tail = self.response(example.response, data.eos_tail, sampling.block_length)
        return TokenisedExample(example.id, (*prompt, *response), len(prompt), tail)


def tokenise_all(
    examples: Iterable[Example],
    tokenizer: PreTrainedTokenizerFast,
    data: DataSpec,
    sampling: SamplingSpec,
    context_length: int,
) -> list[TokenisedExample]:
    """Tokenise a data set; raises `DataError` that names every row too long to be used."""
    encoder = Encoder(tokenizer)
    limit = min(data.max_length, context_length)
    most_characters = limit * encoder.longest_token
    tokenised, problems = [], []
    for example in examples:
        if len(example.prompt) + len(example.response) > most_characters:
            # A row of megabytes would take minutes to encode, only to be refused.
            tokens = f"more than {limit} tokens"
        else:
            item = encoder.example(example, data, sampling)
            if len(item.input_ids) <= limit:
                tokenised.append(item)
                continue
            tokens = f"{len(item.input_ids)} tokens ({item.prompt_length} prompt, {item.response_length} response)"
        problems.append(_too_long(example.id, tokens, data.max_length, context_length))
    if problems:
        hidden = len(problems) - SHOWN_PROBLEMS
        more = [Problem(f"and {hidden} more rows are too long.")] if hidden > 0 else []
        raise DataError.of(problems[:SHOWN_PROBLEMS] + more)
    return tokenised


def _too_long(row: int, tokens: str, max_length: int, context_length: int) -> Problem:
    if context_length <= max_length:
        message = f"The example has {tokens}, but the model's context holds {context_length}."
        remedy = "Shorten or remove the row, or choose a model with a longer context."
    else:
        message = f"The example has {tokens}, and data.max_length is {max_length}."
        remedy = f"Shorten or remove the row, or raise data.max_length (up to {context_length})."
    return Problem(message, f"row {row}", remedy)
