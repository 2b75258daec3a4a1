"""What the method shows, as data: token views, inspections, data set previews. Denoising has its own in `trace`.

These are the JSON documents that the API returns, the browser draws and `gift inspect --json` prints. They import
neither torch nor transformers, so a process that only passes them on stays small.
"""

from __future__ import annotations

import base64
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from gift_core.data_spec import ColumnMapping, LayoutName
from gift_core.dataset_summary import Duplicates, Quantiles
from gift_core.document import Document as Document
from gift_core.spec import Weighting


def _is_base64(text: str) -> str:
    base64.b64decode(text, validate=True)
    return text


# An array of uint8, base64.
PackedBytes = Annotated[str, AfterValidator(_is_base64)]


def pack(values: np.ndarray) -> str:
    """Values in [0, 1] as base64 uint8: 255 is 1."""
    return base64.b64encode((np.clip(values, 0, 1) * 255).round().astype(np.uint8).tobytes()).decode("ascii")


def unpack(packed: str) -> np.ndarray:
    """The bytes of a `PackedBytes`, uint8."""
    return np.frombuffer(base64.b64decode(packed), np.uint8)


class Token(Document):
    """One token as it is drawn. A glyph split over several tokens carries its text on the first; the others have ""."""

    id: int
    text: str = Field(description="Decoded text of the glyph this token starts, or the name of a special token.")
    special: bool = False
    glyph: int = Field(description="Index of the glyph; tokens of one glyph are drawn as one cell.")


class Candidate(Document):
    token: Token
    probability: float


class WeightedMasking(Document):
    """What a token counts in the loss under one weighting."""

    weighting: Weighting
    weight: list[float | None] = Field(description="w_i when masked; null where a token is never masked, [response].")
    product: list[float] = Field(description="Frequency times weight, what a token counts on average, [response].")


class TokenMasking(Document):
    """How often training masks each token, and what that counts: at one t, or averaged over t uniform on (0.001, 1)."""

    t: float | None = Field(description="Diffusion time; null for the average over t.")
    frequency: list[float] = Field(description="t_i, or its average, [response].")
    weighted: list[WeightedMasking]


class PartialPrediction(Document):
    """What a checkpoint predicts at the masked positions of a partial mask; null, and no candidates, at visible ones.

    There are no rates here: beta, r_i and t_i are defined where all of the response is masked.
    """

    entropy: list[float | None] = Field(description="H_i in nats, [response].")
    probability: list[float | None] = Field(description="Probability of the token that stands there, [response].")
    rank: list[int | None] = Field(description="Rank of that token, 0 is the argmax, [response].")
    top: list[list[Candidate]] = Field(description="Most probable tokens, [response, k].")


class CheckpointInspection(Document):
    """Per response position, what one checkpoint predicts when all of the response is masked (the probe)."""

    checkpoint: str
    label: str
    entropy: list[float] = Field(description="H_i in nats, [response].")
    masking_rate: list[float] = Field(description="beta_i = H_i ** power, [response].")
    relative_rate: list[float] = Field(description="r_i = beta_i / beta_ref, [response].")
    reference: float = Field(description="beta_ref.")
    probability: list[float] = Field(description="Probability of the token that stands there, [response].")
    rank: list[int] = Field(description="Rank of that token among the vocabulary, 0 is the argmax, [response].")
    top: list[list[Candidate]] = Field(description="Most probable tokens, [response, k].")
    masking: list[TokenMasking] = Field([], description="Averaged over t first, then at each t that was asked for.")
    partial: PartialPrediction | None = Field(None, description="At the partial mask, where one was asked for.")


class Inspection(Document):
    """Prompt and response tokens, and one `CheckpointInspection` for each checkpoint."""

    version: int = 1
    prompt: list[Token]
    response: list[Token]
    vocabulary_size: int
    power: float
    masked: list[bool] = Field([], description="The partial mask, [response]; empty where only the probe was asked.")
    checkpoints: list[CheckpointInspection]


class RowPreview(Document):
    """One example as the model will see it: where the prompt ends, what is learned, the EOS tail, what is cut off."""

    row: int
    prompt: list[Token]
    response: list[Token]
    tail: int = Field(description="How many tokens at the end of `response` are the EOS tail.")
    cut: int = Field(0, description="How many tokens at the end, the tail's included, are over the limit.")


class DatasetPreview(Document):
    """What is in a data set and what training would make of it. Counts of tokens are estimates from the first rows
    where a data set is large; counts of rows with the same text are exact."""

    columns: list[str]
    prompt_column: str
    response_column: str
    rows: int
    tokens: int
    longest: int
    overlong: int = Field(description="Rows of more than max_length tokens: refused, cut or left out.")
    tail_share: float = Field(description="Share of response tokens that are EOS tail.")
    examples: list[RowPreview]
    layout: LayoutName = Field("pairs", description="How the columns are read.")
    recognised: str | None = Field(None, description="The well-known data set that has these columns.")
    context_column: str | None = Field(None, description="Column that continues the prompt, as Alpaca's input.")
    history_column: str | None = Field(None, description="Column with the turns before the prompt.")
    reasoning_column: str | None = Field(None, description="Column with the reasoning that leads to the response.")
    system_column: str | None = Field(None, description="Column with the system prompt.")
    used_columns: list[str] = Field([], description="The columns that are read, in the order a model sees them.")
    unused_columns: list[str] = Field([], description="The other columns of the file.")
    mapping: ColumnMapping | None = Field(
        None, description="Part of a data.source that reads the file in this way, whatever names are found by then."
    )
    limit: int = Field(0, description="Tokens that an example may have: max_length, or the model's context.")
    truncated: int = Field(0, description="Rows that are cut at the limit, with data.overlong truncate.")
    dropped: int = Field(0, description="Rows that are left out: over the limit, or nothing of the response is left.")
    tokens_of_a_row: Quantiles | None = Field(None, description="Tokens of prompt, response and tail together.")
    duplicates: Duplicates | None = Field(None, description="Rows that say the same, null for generated examples.")
