"""A data set as the model will see it: where each prompt ends, what is learned, the EOS tail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from transformers import PreTrainedTokenizerFast

from gift_core.data.examples import Example
from gift_core.data.glyphs import tokens_of
from gift_core.data.tokenisation import Encoder, TokenisedExample
from gift_core.documents import DatasetPreview, RowPreview
from gift_core.spec import DataSpec, SamplingSpec

# Statistics come from the first rows, up to this many characters: a preview is drawn while somebody waits.
_MEASURED_CHARACTERS = 500_000
# Longer texts are shown and measured by their beginning.
_SHOWN_CHARACTERS = 20_000


def preview(
    examples: Sequence[Example],
    columns: tuple[list[str], str, str],
    tokenizer: PreTrainedTokenizerFast,
    data: DataSpec,
    sampling: SamplingSpec,
    rows: slice,
) -> DatasetPreview:
    """Render `examples[rows]` and measure the data set. `columns` are all of them, the prompt's and the response's."""
    encoder = Encoder(tokenizer)
    measured = [encoder.example(_clipped(example), data, sampling) for example in _first(examples)]
    shown = [encoder.example(_clipped(example), data, sampling) for example in examples[rows]]
    scale = len(examples) / max(len(measured), 1)
    response_tokens = sum(item.response_length for item in measured)
    return DatasetPreview(
        columns=columns[0],
        prompt_column=columns[1],
        response_column=columns[2],
        rows=len(examples),
        tokens=round(scale * sum(len(item.input_ids) for item in measured)),
        longest=max((len(item.input_ids) for item in measured), default=0),
        overlong=round(scale * sum(len(item.input_ids) > data.max_length for item in measured)),
        tail_share=sum(item.tail_length for item in measured) / max(response_tokens, 1),
        examples=[_row(tokenizer, item) for item in shown],
    )


def _first(examples: Sequence[Example]) -> Iterator[Example]:
    characters = 0
    for example in examples:
        yield example
        characters += min(len(example.prompt) + len(example.response), 2 * _SHOWN_CHARACTERS)
        if characters > _MEASURED_CHARACTERS:
            return


def _clipped(example: Example) -> Example:
    return replace(example, prompt=example.prompt[:_SHOWN_CHARACTERS], response=example.response[:_SHOWN_CHARACTERS])


def _row(tokenizer: PreTrainedTokenizerFast, item: TokenisedExample) -> RowPreview:
    ids = list(item.input_ids)
    return RowPreview(
        row=item.id,
        prompt=tokens_of(tokenizer, ids[: item.prompt_length]),
        response=tokens_of(tokenizer, ids[item.prompt_length :]),
        tail=item.tail_length,
    )
