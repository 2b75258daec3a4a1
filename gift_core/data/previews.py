"""A data set as the model will see it: where each prompt ends, what is learned, the EOS tail, what is cut off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerFast

from gift_core.data.examples import Example
from gift_core.data.files import FileContents
from gift_core.data.glyphs import tokens_of
from gift_core.data.tokenisation import Encoder, TokenisedExample
from gift_core.data_spec import DataSpec
from gift_core.dataset_summary import Duplicates, Quantiles, column_facts
from gift_core.documents import DatasetPreview, RowPreview
from gift_core.models.template_date import dated
from gift_core.spec import SamplingSpec

# Statistics come from the first rows, up to this many characters: a preview is drawn while somebody waits.
_MEASURED_CHARACTERS = 500_000
# Longer texts are shown and measured by their beginning.
_SHOWN_CHARACTERS = 20_000


@dataclass(frozen=True)
class LengthStatistics:
    """Tokens of examples and what becomes of those over the limit: `rows`, of which `measured` were tokenised."""

    rows: int
    measured: int
    tokens: int
    quantiles: Quantiles | None
    overlong: int
    truncated: int
    dropped: int
    tail_share: float


def preview(
    contents: FileContents,
    tokenizer: PreTrainedTokenizerFast,
    data: DataSpec,
    sampling: SamplingSpec,
    context_length: int,
    rows: slice,
    find_duplicates: bool = True,
) -> DatasetPreview:
    """Render `rows` of the examples and measure the data set, for a model whose context has `context_length` tokens."""
    encoder = Encoder(dated(tokenizer, data.template_date))
    limit = min(data.max_length, context_length)
    found = length_statistics(contents.examples, encoder, data, sampling, limit)
    return DatasetPreview(
        **column_facts(contents.columns, contents.layout),
        rows=found.rows,
        tokens=found.tokens,
        longest=found.quantiles.most if found.quantiles else 0,
        tokens_of_a_row=found.quantiles,
        limit=limit,
        overlong=found.overlong,
        truncated=found.truncated,
        dropped=found.dropped,
        tail_share=found.tail_share,
        duplicates=Duplicates.of(contents.examples) if find_duplicates else None,
        examples=[_row(encoder, _clipped(example), data, sampling, limit) for example in contents.examples[rows]],
    )


def length_statistics(
    examples: Sequence[Example], encoder: Encoder, data: DataSpec, sampling: SamplingSpec, limit: int
) -> LengthStatistics:
    """Measure the first examples and scale their counts to all; `tail_share` is that of the response tokens kept."""
    measured = [encoder.example(_clipped(example), data, sampling) for example in _first(examples)]
    lengths = [len(item.input_ids) for item in measured]
    over = [item for item in measured if len(item.input_ids) > limit]
    cut = [item for item in over if data.overlong == "truncate" and item.cut(limit)]
    kept = [item for item in measured if len(item.input_ids) <= limit] + [
        shorter for item in cut if (shorter := item.cut(limit))
    ]
    # Where everything is refused, what would be learned is what stands there.
    learned = kept or measured
    scale = len(examples) / max(len(measured), 1)
    return LengthStatistics(
        rows=len(examples),
        measured=len(measured),
        tokens=round(scale * sum(lengths)),
        quantiles=Quantiles.of(lengths, [item.id for item in measured]) if measured else None,
        overlong=round(scale * len(over)),
        truncated=round(scale * len(cut)),
        dropped=0 if data.overlong == "refuse" else round(scale * (len(over) - len(cut))),
        tail_share=sum(item.tail_length for item in learned) / max(sum(item.response_length for item in learned), 1),
    )


def _first(examples: Sequence[Example]) -> Iterator[Example]:
    characters = 0
    for example in examples:
        yield example
        characters += min(example.asked + len(example.response), 3 * _SHOWN_CHARACTERS)
        if characters > _MEASURED_CHARACTERS:
            return


def _clipped(example: Example) -> Example:
    """The example with its longest texts cut, and without the turns before the prompt where they are longer still."""
    return replace(
        example,
        prompt=example.prompt[:_SHOWN_CHARACTERS],
        response=example.response[:_SHOWN_CHARACTERS],
        history=example.history if example.asked - len(example.prompt) <= _SHOWN_CHARACTERS else (),
    )


def _row(encoder: Encoder, example: Example, data: DataSpec, sampling: SamplingSpec, limit: int) -> RowPreview:
    item: TokenisedExample = encoder.example(example, data, sampling)
    ids = list(item.input_ids)
    return RowPreview(
        row=item.id,
        prompt=tokens_of(encoder.tokenizer, ids[: item.prompt_length]),
        response=tokens_of(encoder.tokenizer, ids[item.prompt_length :]),
        tail=item.tail_length,
        cut=max(0, len(ids) - limit),
    )
