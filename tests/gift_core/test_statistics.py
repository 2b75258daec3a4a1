"""Intervals and paired tests: identities, values from the literature, and how often an interval holds the truth."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from gift_core.evaluation_document import Measure
from gift_core.statistics import (
    Difference,
    PairedComparison,
    Share,
    bootstrap_difference,
    compare_paired,
    discordant_odds,
    mcnemar_p,
    mean_interval,
    paired_difference,
)

Pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)
counts = st.integers(0, 40)


def compared(pairs: list[tuple[bool, bool]]) -> PairedComparison:
    return compare_paired([a for a, _ in pairs], [b for _, b in pairs])


@given(solved=st.lists(st.booleans(), min_size=1, max_size=60))
def test_a_against_a_differs_by_nothing(solved: list[bool]) -> None:
    same = compare_paired(solved, solved)
    assert (same.only_a, same.only_b, same.p, same.difference.points) == (0, 0, 1.0, 0.0)
    assert same.difference.low < 0 < same.difference.high
    assert (same.odds_ratio.low, same.odds_ratio.ratio, same.odds_ratio.high) == (0, None, None)


@given(pairs=Pairs)
def test_swapping_a_and_b_mirrors_everything(pairs: list[tuple[bool, bool]]) -> None:
    one, other = compared(pairs), compared([(b, a) for a, b in pairs])
    assert (one.only_a, one.only_b, one.both, one.neither) == (other.only_b, other.only_a, other.both, other.neither)
    assert one.p == pytest.approx(other.p)
    mirrored = (-other.difference.points, -other.difference.high, -other.difference.low)
    assert (one.difference.points, one.difference.low, one.difference.high) == pytest.approx(mirrored)
    if one.only_a and one.only_b:
        assert one.odds_ratio.low == pytest.approx(1 / other.odds_ratio.high)


@given(both=counts, only_a=counts, only_b=counts, neither=counts)
def test_the_paired_interval_holds_its_estimate_and_stays_possible(
    both: int, only_a: int, only_b: int, neither: int
) -> None:
    if both + only_a + only_b + neither:
        found = paired_difference(both, only_a, only_b, neither)
        assert -100 <= found.low <= found.points <= found.high <= 100


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        ((36, 12, 2, 0), 0.0569, 0.3404),
        ((18, 12, 2, 18), 0.0562, 0.3290),
        ((53, 0, 0, 1), -0.0729, 0.0729),
        # Complete response before and after consolidation therapy, as R's contingencytables has it.
        ((59, 6, 16, 80), -0.1186, -0.0046),
    ],
)
def test_the_paired_interval_is_the_published_one(table: tuple[int, int, int, int], low: float, high: float) -> None:
    """The first three are Newcombe's own examples (1998)."""
    found = paired_difference(*table)
    assert (found.low / 100, found.high / 100) == pytest.approx((low, high), abs=1e-4)


def test_mcnemar_is_exact() -> None:
    # One of eight, doubled: 2 (1 + 8) / 2**8.
    assert mcnemar_p(1, 7) == pytest.approx(2 * 9 / 256)
    assert mcnemar_p(0, 5) == pytest.approx(2 / 32)
    assert mcnemar_p(6, 6) == mcnemar_p(0, 0) == 1.0
    # With many discordant pairs it becomes McNemar's chi-squared test.
    assert mcnemar_p(520, 600) == pytest.approx(chi2.sf((80 - 1) ** 2 / 1120, 1), rel=0.01)


@given(only_a=st.integers(0, 60), only_b=st.integers(0, 60))
def test_odds_leave_out_one_exactly_where_mcnemar_rejects(only_a: int, only_b: int) -> None:
    odds, p = discordant_odds(only_a, only_b), mcnemar_p(only_a, only_b)
    assert (odds.low <= 1 and (odds.high is None or odds.high >= 1)) == (p > 0.05)


def test_the_paired_interval_holds_the_truth_as_often_as_it_says() -> None:
    truth, n, draws = np.array([0.45, 0.2, 0.1, 0.25]), 50, 4000
    tables = Counter(map(tuple, np.random.default_rng(3).multinomial(n, truth, size=draws).tolist()))
    held = sum(times for table, times in tables.items() if holds(paired_difference(*table), 10.0))
    assert 0.94 < held / draws < 0.97


def test_the_bootstrap_holds_the_truth_as_often_as_it_says() -> None:
    """Items of their own difficulty, a method that solves 8 points more, and seeds that are better or worse days."""
    random = np.random.default_rng(5)
    held = []
    for _ in range(200):
        difficulty, day = random.uniform(0.3, 0.6, 80), random.normal(0, 0.02, (2, 8, 1))
        chance = difficulty + day + np.array([0.08, 0.0])[:, None, None]
        a, b = random.random((2, 8, 80)) < chance
        held.append(holds(bootstrap_difference(a, b, resamples=400), 8.0))
    assert 0.92 < np.mean(held) <= 1


def test_with_one_seed_the_bootstrap_is_that_of_the_items() -> None:
    a, b = np.random.default_rng(1).random((2, 1, 400)) < np.array([0.7, 0.5])[:, None, None]
    found = bootstrap_difference(a, b)
    error = 100 * (a.astype(float) - b).std() / 20
    assert (found.low, found.high) == pytest.approx(
        (found.points - 1.96 * error, found.points + 1.96 * error), abs=0.1 * error
    )


def test_a_seed_that_differs_widens_the_bootstrap_and_more_of_the_same_narrows_it() -> None:
    a, b = np.random.default_rng(2).random((2, 3, 100)) < np.array([0.7, 0.5])[:, None, None]
    worse = a.copy()
    worse[0] = False
    assert width(bootstrap_difference(worse, b)) > 1.5 * width(bootstrap_difference(a, b))
    assert width(bootstrap_difference(np.tile(a, (4, 4)), np.tile(b, (4, 4)))) < 0.6 * width(bootstrap_difference(a, b))


@given(st.integers(1, 4), st.integers(1, 20), st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_the_bootstrap_is_seeded_mirrored_and_zero_for_equals(seeds: int, items: int, seed: int) -> None:
    a, b = np.random.default_rng(seed).random((2, seeds, items)) < 0.5
    once, again = (bootstrap_difference(a, b, resamples=200, seed=seed) for _ in range(2))
    other = bootstrap_difference(b, a, resamples=200, seed=seed)
    assert once == again
    assert (once.points, once.low, once.high) == pytest.approx((-other.points, -other.high, -other.low))
    assert bootstrap_difference(a, a, resamples=200, seed=seed) == Difference(0, 0, 0)


def test_verdicts_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="each item"):
        compare_paired([True], [True, False])
    with pytest.raises(ValueError, match="seeds, items"):
        bootstrap_difference(np.ones((2, 3)), np.ones((3, 2)))


def test_a_share_knows_its_interval() -> None:
    found = Share.of(81, 263)
    assert (found.share, found.low, found.high) == pytest.approx((0.3080, 0.2553, 0.3662), abs=5e-5)
    assert math.isnan(Share.of(0, 0).share)


@given(st.integers(1, 400), st.data(), st.sampled_from([0.5, 0.95, 0.999999]))
def test_an_interval_for_a_share_holds_it_and_stays_between_0_and_1(
    n: int, data: st.DataObject, confidence: float
) -> None:
    correct = data.draw(st.sampled_from([0, n]) | st.integers(0, n))
    found = Share.of(correct, n, confidence)
    assert 0 <= found.low <= found.share <= found.high <= 1
    assert (found.low == 0) == (correct == 0)
    assert (found.high == 1) == (correct == n)
    assert 0 <= float(f"{100 * found.low:.1f}") <= float(f"{100 * found.high:.1f}") <= 100


@given(st.integers(1, 3), st.integers(1, 5), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1, 0.9, 1.0]))
@settings(max_examples=25)
def test_a_bootstrapped_difference_holds_its_estimate_and_stays_possible(
    seeds: int, items: int, seed: int, chance: float
) -> None:
    a, b = np.random.default_rng(seed).random((2, seeds, items)) < np.array([1.0, chance])[:, None, None]
    found = bootstrap_difference(a, b, resamples=50, seed=seed)
    assert -100 <= found.low <= found.points <= found.high <= 100


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_an_interval_for_a_mean_of_parts_stays_between_0_and_1(values: list[float]) -> None:
    """Student's t interval of a few values near 1 alone would go beyond it."""
    found = Measure.of(values, most=1.0)
    if found.low is not None and found.high is not None:
        assert 0 <= found.low <= found.mean <= found.high <= 1


def test_a_mean_of_parts_near_the_whole_ends_there() -> None:
    found = Measure.of([1.0, 1.0, 0.9], most=1.0)
    assert found.high == 1.0
    assert mean_interval([1.0, 1.0, 0.9])[2] > 1
    assert Measure.of([0, 0, 1], most=48).low == 0.0


def holds(interval: Difference, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def width(interval: Difference) -> float:
    return interval.high - interval.low
