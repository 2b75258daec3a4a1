"""How often the intervals of gift_core.statistics hold the difference that they are about, nominally 95 %.

Two methods on the same items, the first 8 points better: items of different difficulty, seeds that are better or worse
(`seeds` is the standard deviation of a seed's share in points, for each method by itself), and items that suit one
method better than the other (`items`, likewise).
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from _common import print_table

from gift_core.statistics import Difference, bootstrap_difference, paired_difference

ITEMS, REPEATS, TABLES = 150, 1000, 20_000
ADVANTAGE = 8.0
# Shares of items that both solve, only one of them, only the other, and neither.
PAIRS = ((50, (0.45, 0.2, 0.1, 0.25)), (256, (0.5, 0.1, 0.05, 0.35)), (256, (0.02, 0.03, 0.01, 0.94)))


def holds(interval: Difference, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def paired_coverage(n: int, shares: tuple[float, ...]) -> float:
    drawn = np.random.default_rng(0).multinomial(n, shares, size=TABLES)
    truth = 100 * (shares[1] - shares[2])
    tables = Counter(map(tuple, drawn.tolist()))
    return sum(times for table, times in tables.items() if holds(paired_difference(*table), truth)) / TABLES


def bootstrap_coverage(seeds: int, seed_deviation: float, item_deviation: float) -> tuple[float, float]:
    """Coverage, and mean width in points."""
    random = np.random.default_rng(1)
    found = []
    for _ in range(REPEATS):
        difficulty = random.uniform(0.3, 0.6, ITEMS)
        day = random.normal(0, seed_deviation / 100, (2, seeds, 1))
        suits = random.normal(0, item_deviation / 100, ITEMS)
        chance = np.stack([difficulty + ADVANTAGE / 100 + suits + day[0], difficulty + day[1]])
        a, b = random.random((2, seeds, ITEMS)) < chance
        found.append(bootstrap_difference(a, b, resamples=400))
    widths = [interval.high - interval.low for interval in found]
    return float(np.mean([holds(interval, ADVANTAGE) for interval in found])), float(np.mean(widths))


def main() -> None:
    print(f"Newcombe's paired interval, {TABLES:,} tables each")
    print_table(
        ("items", "both, only A, only B, neither", "coverage"),
        [
            (str(n), ", ".join(f"{share:g}" for share in shares), f"{paired_coverage(n, shares):.1%}")
            for n, shares in PAIRS
        ],
    )
    print(f"\nBootstrap over seeds and items, {ITEMS} items, {REPEATS:,} experiments each")
    rows = []
    for deviations in ((0.0, 0.0), (0.0, 15.0), (2.0, 15.0), (6.0, 15.0)):
        for seeds in (1, 2, 3, 5, 8):
            coverage, width = bootstrap_coverage(seeds, *deviations)
            rows.append((*(f"{value:g}" for value in deviations), str(seeds), f"{coverage:.1%}", f"{width:.1f}"))
    print_table(("seeds, points", "items, points", "number of seeds", "coverage", "width, points"), rows)


if __name__ == "__main__":
    main()
