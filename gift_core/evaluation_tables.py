"""Evaluations in a terminal: progress while they run, and their results with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from gift_core.escaping import escaped
from gift_core.evaluation_document import ConditionResult, EvaluationResult, LengthComparison, Measure
from gift_core.evaluation_run import EvaluationOptions, EvaluationProgress, evaluate
from gift_core.evaluation_spec import EvaluationPlan
from gift_core.interrupts import stop_asked_by_interrupt
from gift_core.models.loading import DiffusionModel
from gift_core.statistics import Difference, Share


def evaluate_with_progress(
    model: DiffusionModel, name: str, plan: EvaluationPlan, directory: Path, batch: int, console: Console
) -> None:
    """`evaluate` with a bar on `console`; the first Ctrl-C stops it after the current batch."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[solved]} solved"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars, stop_asked_by_interrupt(console, "this batch") as stop:
        bar = bars.add_task(short_names([name])[0], total=None, solved=0)

        def show(progress: EvaluationProgress) -> None:
            bars.update(bar, completed=progress.done, total=progress.total, solved=progress.solved)

        evaluate(model, name, plan, directory, EvaluationOptions(batch, show, stop.is_set))


def print_evaluations(results: Sequence[EvaluationResult], comparisons: Sequence[Sequence[LengthComparison]]) -> None:
    """A few lines for every condition, and the first checkpoint against each of the others."""
    console = Console(soft_wrap=True)
    header = results[0].header
    names = short_names([result.header.model for result in results])
    lines = [
        f"{header.plan.evaluation_task.title}: {header.items:,} items (list {header.items_fingerprint[:12]}), "
        "95 % intervals"
    ]
    for name, result in zip(names, results, strict=True):
        lines += ["", name, *(line for each in result.conditions for line in _condition(each))]
        if result.missing:
            lines.append(f"  {result.missing:,} answers are missing")
    for name, found in zip(names[1:], comparisons, strict=True):
        lines += ["", f"{names[0]} minus {name}", *(line for each in found for line in _comparison(each))]
    console.print(Text(escaped("\n".join(lines))))


def short_names(models: Sequence[str]) -> list[str]:
    """The last parts of the names of checkpoints, where those tell them apart; in a run's folder, the run's."""
    last = [Path(name).name or name for name in models]
    return last if len(set(last)) == len(last) else list(models)


def _condition(each: ConditionResult) -> list[str]:
    measures = [f"{name} {_percent(measure)}" for name, measure in each.measures.items()]
    ends = (("truncated", each.truncated), ("empty", each.eos_overflow), ("without an answer", each.early_termination))
    return [
        f"  {_setting(each.sampling.length, each.seed)}: {_share(each.solved)}",
        *(["    " + "; ".join(measures)] if measures else []),
        "    "
        + ", ".join(f"{share.correct} {name}" for name, share in ends)
        + f"; {_measure(each.tokens)} tokens, {_measure(each.passes)} passes",
    ]


def _comparison(each: LengthComparison) -> list[str]:
    lines = [f"  not asked alike: {', '.join(each.settings)} differ"] if each.settings else []
    for of_seed in each.seeds:
        paired = of_seed.paired
        lines.append(
            f"  {_setting(each.length, of_seed.seed)}: {_difference(paired.difference)}, p = {paired.p:.2g} "
            f"(McNemar; {paired.only_a} solved only by the first, {paired.only_b} only by the second)"
        )
    if each.over_seeds:
        lines.append(f"  length {each.length}, over all seeds and items: {_difference(each.over_seeds)} (bootstrap)")
    return lines


def _setting(length: int, seed: int) -> str:
    return f"length {length}, seed {seed}"


def _share(share: Share) -> str:
    interval = f"{100 * share.low:.1f} to {100 * share.high:.1f}"
    return f"{share.correct:,} of {share.n:,} solved, {100 * share.share:.1f} % ({interval})"


def _percent(measure: Measure) -> str:
    if measure.low is None or measure.high is None:
        return f"{100 * measure.mean:.1f} %"
    return f"{100 * measure.mean:.1f} % ({100 * measure.low:.1f} to {100 * measure.high:.1f})"


def _measure(measure: Measure) -> str:
    if measure.low is None or measure.high is None:
        return f"{measure.mean:.1f}"
    return f"{measure.mean:.1f} ({measure.low:.1f} to {measure.high:.1f})"


def _difference(difference: Difference) -> str:
    return f"{difference.points:+.1f} points ({difference.low:+.1f} to {difference.high:+.1f})"
