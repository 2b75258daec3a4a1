"""Intervals for what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from scipy.stats import binomtest, ttest_1samp


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share; all of (0, 1) when nothing was tried."""
    if n == 0:
        return 0.0, 1.0
    interval = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean of a few independent values, and Student's t interval for it; at least two are needed."""
    result = ttest_1samp(values, 0.0).confidence_interval(confidence)
    return fmean(values), float(result.low), float(result.high)
