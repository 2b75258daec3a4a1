"""Statistics over the response tokens of many examples: per glyph, per class, per place, and of the rates."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from gift_core.dataset_document import GlyphStatistic, GroupStatistic, Histogram
from gift_core.documents import Token
from gift_core.token_classes import TOKEN_CLASSES, TokenClass


@dataclass(frozen=True)
class SeenResponse:
    """One response and what the probe says of it: entropy H_i in nats, `rate` beta_i, `relative` r_i, and `frequency`,
    the mean of t_i over all t; [response] each."""

    tokens: list[Token]
    classes: list[TokenClass]
    entropy: np.ndarray
    rate: np.ndarray
    relative: np.ndarray
    frequency: np.ndarray


def glyph_statistics(responses: Sequence[SeenResponse], minimum_count: int) -> list[GlyphStatistic]:
    """Each glyph that occurs `minimum_count` times or more, highest mean entropy first."""
    occurrences: dict[tuple[TokenClass, tuple[int, ...]], list[np.ndarray]] = defaultdict(list)
    texts: dict[tuple[int, ...], str] = {}
    for response in responses:
        measures = np.stack([response.entropy, response.rate, response.frequency])
        for place in _glyphs(response.tokens):
            ids = tuple(token.id for token in response.tokens[place])
            texts[ids] = response.tokens[place.start].text
            # EOS in the tail and EOS elsewhere are different things to know.
            occurrences[response.classes[place.start], ids].append(measures[:, place].mean(1))
    found = [
        _glyph_statistic(texts[ids], ids, token_class, np.array(values))
        for (token_class, ids), values in occurrences.items()
        if len(values) >= minimum_count
    ]
    return sorted(found, key=lambda glyph: (-glyph.mean_entropy, glyph.ids))


def _glyphs(tokens: Sequence[Token]) -> Iterator[slice]:
    """Where the tokens of each glyph are."""
    start = 0
    for _, parts in groupby(tokens, key=lambda token: token.glyph):
        end = start + len(list(parts))
        yield slice(start, end)
        start = end


def _glyph_statistic(text: str, ids: tuple[int, ...], token_class: TokenClass, values: np.ndarray) -> GlyphStatistic:
    """`values` [occurrences, 3] are entropy, rate and frequency."""
    mean = values.mean(0)
    return GlyphStatistic(
        text=text,
        ids=list(ids),
        token_class=token_class,
        count=len(values),
        mean_entropy=float(mean[0]),
        deviation=float(values[:, 0].std()),
        mean_rate=float(mean[1]),
        masking_frequency=float(mean[2]),
    )


def class_statistics(responses: Sequence[SeenResponse]) -> list[GroupStatistic]:
    """A group for each class of tokens."""
    numbers = {name: number for number, name in enumerate(TOKEN_CLASSES)}
    group = [np.array([numbers[name] for name in response.classes]) for response in responses]
    return _group_statistics(responses, group, TOKEN_CLASSES)


def position_statistics(responses: Sequence[SeenResponse], bins: int) -> list[GroupStatistic]:
    """A group for each of `bins` equal parts of the response, whatever its length."""
    group = [np.arange(len(response.tokens)) * bins // len(response.tokens) for response in responses]
    names = [f"{part / bins:.0%} to {(part + 1) / bins:.0%}" for part in range(bins)]
    return _group_statistics(responses, group, names)


def _group_statistics(
    responses: Sequence[SeenResponse], group: Sequence[np.ndarray], names: Sequence[str]
) -> list[GroupStatistic]:
    """`group` says of every token which of `names` it belongs to."""
    groups = np.concatenate(group)
    tokens = np.bincount(groups, minlength=len(names))
    entropy, rate, relative, frequency = (
        np.bincount(groups, joined(responses, measure), minlength=len(names))
        for measure in ("entropy", "rate", "relative", "frequency")
    )
    return [
        GroupStatistic(
            name=name,
            tokens=int(tokens[place]),
            token_share=float(tokens[place] / tokens.sum()),
            rate_share=_share(relative, place),
            masked_share=_share(frequency, place),
            mean_entropy=float(entropy[place] / tokens[place]) if tokens[place] else None,
            mean_rate=float(rate[place] / tokens[place]) if tokens[place] else None,
        )
        for place, name in enumerate(names)
    ]


def _share(values: np.ndarray, place: int) -> float:
    total = values.sum()
    return float(values[place] / total) if total else 0.0


def rate_histogram(responses: Sequence[SeenResponse], vocabulary_size: int, power: float, bins: int) -> Histogram:
    """beta_i in equal parts from 0 to that of a uniform guess, so that checkpoints of one vocabulary share edges."""
    most = math.log(vocabulary_size) ** power
    # Rounding may leave a uniform guess a hair above ln V.
    counts, edges = np.histogram(joined(responses, "rate").clip(0, most), bins, (0, most))
    return Histogram(edges=edges.tolist(), counts=counts.tolist())


def joined(responses: Sequence[SeenResponse], measure: str) -> np.ndarray:
    """One measure of all response tokens, fp64 [tokens]."""
    return np.concatenate([getattr(response, measure) for response in responses]).astype(np.float64)
