"""A line of docs/results.md: SFT and GIFT over several seeds, from what `gift train` left behind.

    gift train --set data.source.task=algebra --method sft --method gift --seed 1 ... --seed 5 --output runs
    python benchmarks/_seeds.py runs/*

Runs are grouped by method and paired by seed. Intervals are Student's t over the seeds: they cover what a seed decides
(the order of the data, times and masks), not which problems are asked.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from gift_core.finished_run import read_run
from gift_core.statistics import mean_interval

METHODS = ("sft", "gift")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished runs of one task")
    runs = [read_run(directory) for directory in parser.parse_args().runs]
    by_method = {
        method: {run.spec.seed: run for run in runs if run.spec.objective.method == method} for method in METHODS
    }
    seeds = sorted(by_method["sft"])
    shares: dict[str, list[float]] = {}
    for method, found in by_method.items():
        scores = [score for seed in seeds if (score := found[seed].result.score)]
        shares[method] = [score.share for score in scores]
        print(
            f"{method}: {', '.join(str(score.correct) for score in scores)} of {scores[0].n}; {shown(shares[method])}"
        )
        print(f"  {max(found[seed].result.seconds for seed in seeds):.0f} s for the slowest run")
    differences = [after - before for before, after in zip(shares["sft"], shares["gift"], strict=True)]
    print(f"GIFT minus SFT: {shown(differences)}")


def shown(shares: list[float]) -> str:
    return "{:.1%} ({:.1%} to {:.1%})".format(*mean_interval(shares, least=0.0, most=1.0))


if __name__ == "__main__":
    main()
