"""Intervals and tests for what is measured. Shares are in [0, 1], differences of shares in points (hundredths)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan, sqrt
from statistics import fmean

import numpy as np
from scipy.stats import binomtest, ttest_1samp

_IN_POINTS = 100.0
# 1,000 resamples of MATH's 5,000 items are 40 MB.
_RESAMPLES_AT_ONCE = 1000


@dataclass(frozen=True)
class Share:
    """`correct` of `n`, their share and its Wilson interval from `low` to `high`."""

    correct: int
    n: int
    share: float
    low: float
    high: float

    @classmethod
    def of(cls, correct: int, n: int, confidence: float = 0.95) -> Share:
        """Where nothing was tried the share is nan, and all of (0, 1) is possible."""
        return cls(correct, n, correct / n if n else nan, *wilson_interval(correct, n, confidence))


@dataclass(frozen=True)
class Difference:
    """A's share minus B's in points, and its interval."""

    points: float
    low: float
    high: float


@dataclass(frozen=True)
class OddsRatio:
    """Odds that it is A which solves an item that only one of the two solves, and their interval; 1 is no difference.

    `ratio` is None where B solves no item alone, `high` where there is no upper bound.
    """

    ratio: float | None
    low: float
    high: float | None


@dataclass(frozen=True)
class PairedComparison:
    """Two checkpoints on the same items: how many both solve, only A, only B, neither, and what follows.

    `p` is of McNemar's exact test, two-sided: the chance of a split of the discordant items at least as uneven as this
    one if both were equally good.
    """

    both: int
    only_a: int
    only_b: int
    neither: int
    p: float
    difference: Difference
    odds_ratio: OddsRatio


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share; all of (0, 1) when nothing was tried."""
    if n == 0:
        return 0.0, 1.0
    interval = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return _around(successes / n, float(interval.low), float(interval.high), least=0.0, most=1.0)


def mean_interval(
    values: Sequence[float], confidence: float = 0.95, *, least: float = -inf, most: float = inf
) -> tuple[float, float, float]:
    """Mean of a few independent values, and Student's t interval for it; at least two are needed.

    `least` and `most` are the bounds of a value: no mean lies outside, so the interval ends there.
    """
    result = ttest_1samp(values, 0.0).confidence_interval(confidence)
    mean = fmean(values)
    return mean, *_around(mean, float(result.low), float(result.high), least=least, most=most)


def compare_paired(solved_a: Sequence[bool], solved_b: Sequence[bool], confidence: float = 0.95) -> PairedComparison:
    """Compare two checkpoints by which of the same items they solve, [items] each; at least one item is needed."""
    a, b = np.asarray(solved_a, dtype=bool), np.asarray(solved_b, dtype=bool)
    if a.shape != b.shape or a.ndim != 1 or not a.size:
        raise ValueError(f"two verdicts for each item are needed, not {a.shape} and {b.shape}")
    both, only_a, only_b, neither = (int(cell.sum()) for cell in (a & b, a & ~b, ~a & b, ~a & ~b))
    return PairedComparison(
        both,
        only_a,
        only_b,
        neither,
        mcnemar_p(only_a, only_b),
        paired_difference(both, only_a, only_b, neither, confidence),
        discordant_odds(only_a, only_b, confidence),
    )


def mcnemar_p(only_a: int, only_b: int) -> float:
    """p of McNemar's exact test, two-sided: items that both or neither solve say nothing about who is better."""
    discordant = only_a + only_b
    return float(binomtest(only_a, discordant).pvalue) if discordant else 1.0


def paired_difference(both: int, only_a: int, only_b: int, neither: int, confidence: float = 0.95) -> Difference:
    """A's share minus B's with Newcombe's hybrid score interval for paired proportions.

    Each share has its Wilson interval; their half widths are combined with the correlation of the pairs. Unlike Wald's
    it has a width where no item is discordant, and stays within -100 and 100. Source: R. G. Newcombe, Statistics in
    Medicine 17 (1998) 2635-2650, method 10.
    """
    n = both + only_a + only_b + neither
    a, b = Share.of(both + only_a, n, confidence), Share.of(both + only_b, n, confidence)
    correlation = _pair_correlation(both, only_a, only_b, neither)
    difference = (only_a - only_b) / n
    below = _hypotenuse(a.share - a.low, b.high - b.share, correlation)
    above = _hypotenuse(a.high - a.share, b.share - b.low, correlation)
    return _in_points(difference, difference - below, difference + above)


def discordant_odds(only_a: int, only_b: int, confidence: float = 0.95) -> OddsRatio:
    """only_a / only_b with its exact (Clopper-Pearson) interval given the discordant pairs: the one that goes with
    `mcnemar_p`."""
    discordant = only_a + only_b
    if not discordant:
        return OddsRatio(None, 0.0, None)
    interval = binomtest(only_a, discordant).proportion_ci(confidence, method="exact")
    low, high = float(interval.low), float(interval.high)
    return OddsRatio(_odds(only_a / discordant), low / (1 - low), _odds(high))


def bootstrap_difference(
    solved_a: np.ndarray, solved_b: np.ndarray, *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Difference:
    """Mean of A minus mean of B with a percentile interval from resampling seeds and items, bool [seeds, items] each.

    Seeds and items are crossed, so both are drawn with replacement and independently of each other, and a pair stays
    a pair (A. B. Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1 (2007) 386-411); what scipy's bootstrap
    offers resamples one level. From few seeds any resampling underestimates how much seeds differ, and from one it says
    nothing about it; where they differ little the interval is cautious: docs/statistics.md says how much.
    """
    if np.ndim(solved_a) != 2 or np.shape(solved_a) != np.shape(solved_b) or not np.size(solved_a):
        raise ValueError(f"[seeds, items] of both are needed, not {np.shape(solved_a)} and {np.shape(solved_b)}")
    difference = np.asarray(solved_a, dtype=np.float64) - np.asarray(solved_b, dtype=np.float64)
    random = np.random.default_rng(seed)
    sizes = [min(_RESAMPLES_AT_ONCE, resamples - done) for done in range(0, resamples, _RESAMPLES_AT_ONCE)]
    means = np.concatenate([_resampled_means(difference, size, random) for size in sizes])
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return _in_points(float(difference.mean()), float(low), float(high))


def _resampled_means(values: np.ndarray, resamples: int, random: np.random.Generator) -> np.ndarray:
    """Means of `values` [seeds, items] over seeds and items drawn with replacement, [resamples]."""
    # How often each is drawn says all: a mean over draws is a product with their counts.
    seeds, items = (random.multinomial(n, np.full(n, 1 / n), size=resamples) / n for n in values.shape)
    means: np.ndarray = ((seeds @ values) * items).sum(1)
    return means


def _pair_correlation(both: int, only_a: int, only_b: int, neither: int) -> float:
    """phi of the 2 x 2 table, a positive one with Newcombe's continuity correction; 0 where a margin is empty."""
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    if not margins:
        return 0.0
    covariance = float(both * neither - only_a * only_b)
    if covariance > 0:
        covariance = max(0.0, covariance - (both + only_a + only_b + neither) / 2)
    return covariance / sqrt(margins)


def _hypotenuse(one: float, other: float, correlation: float) -> float:
    """The half width of a difference whose two parts have these half widths."""
    # Rounding may leave a hair below zero.
    return sqrt(max(0.0, one**2 - 2 * correlation * one * other + other**2))


def _odds(probability: float) -> float | None:
    return probability / (1 - probability) if probability < 1 else None


def _in_points(difference: float, low: float, high: float) -> Difference:
    low, high = _around(difference, low, high, least=-1.0, most=1.0)
    return Difference(_IN_POINTS * difference, _IN_POINTS * low, _IN_POINTS * high)


def _around(estimate: float, low: float, high: float, *, least: float, most: float) -> tuple[float, float]:
    """An interval within what is possible that holds its estimate, also after rounding."""
    return max(least, min(low, estimate)), min(most, max(high, estimate))
