"""What checkpoints are unsure of over a data set, as data. Imports neither torch nor transformers."""

from __future__ import annotations

from pydantic import Field

from gift_core.documents import Document
from gift_core.token_classes import TokenClass


class GlyphStatistic(Document):
    """All occurrences of one glyph in responses: one token, or several that only together are text."""

    text: str
    ids: list[int]
    token_class: TokenClass
    count: int
    mean_entropy: float = Field(description="Mean of H_i in nats; of several tokens, their mean.")
    deviation: float = Field(description="Standard deviation of that over the occurrences.")
    mean_rate: float = Field(description="Mean of beta_i.")
    masking_frequency: float = Field(description="Mean of E t_i, t uniform on (0.001, 1).")


class GroupStatistic(Document):
    """The response tokens of one class, or of one part of the response. Shares are of all response tokens."""

    name: str
    tokens: int
    token_share: float = Field(description="Share of the tokens: what it has of those that SFT masks.")
    rate_share: float = Field(description="Share of the sum of r_i.")
    masked_share: float = Field(description="Share of the tokens that GIFT masks, over all t.")
    mean_entropy: float | None = Field(description="Nats; null where there is no token.")
    mean_rate: float | None


class Histogram(Document):
    """Numbers of tokens between neighbouring edges."""

    edges: list[float]
    counts: list[int]


class CheckpointDataset(Document):
    """What one checkpoint is unsure of, over all response tokens."""

    checkpoint: str
    label: str
    vocabulary_size: int
    tokens: int
    mean_entropy: float = Field(description="Nats.")
    masking_frequency: float = Field(description="Mean of E t_i: the share of response tokens that GIFT masks.")
    highest: list[GlyphStatistic] = Field(description="Highest mean entropy first.")
    lowest: list[GlyphStatistic] = Field(description="Lowest mean entropy first.")
    rates: Histogram = Field(description="beta_i, from 0 to what a uniform guess would have.")
    positions: list[GroupStatistic] = Field(description="By place in the response, EOS tail included; equal parts.")
    classes: list[GroupStatistic]


class DatasetInspection(Document):
    """A sample of a data set as one or several checkpoints see it at the probe."""

    version: int = 1
    power: float
    reference: str | float
    examples: int = Field(description="Examples looked at.")
    available: int = Field(description="Examples there were to choose from.")
    seed: int = Field(description="Seed of the choice.")
    minimum_count: int = Field(description="Occurrences that a glyph needs to be listed.")
    checkpoints: list[CheckpointDataset]
