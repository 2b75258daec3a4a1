"""How the command line shows what runs would take."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gift_core.memory import readable_size
from gift_core.planning import Plan, plan
from gift_core.spec import RunSpec


def plan_runs(runs: Sequence[tuple[str, RunSpec]], rate_cache: Path, console: Console) -> dict[str, Plan]:
    """The plan of each run, by its label."""
    plans = {}
    for label, spec in runs:
        with console.status(label) as status:
            plans[label] = plan(spec, Path, rate_cache, lambda doing, label=label: status.update(f"{label} {doing}"))  # type: ignore[misc]
    return plans


def print_plans(plans: dict[str, Plan], as_json: bool) -> None:
    """A table with a column for each run, and the warnings below it."""
    if as_json:
        sys.stdout.write(json.dumps({label: found.model_dump(mode="json") for label, found in plans.items()}) + "\n")
        return
    table = Table("", *plans, caption="Measured in three steps, the largest batch among them.")
    for title, show in _ROWS:
        table.add_row(title, *map(show, plans.values()))
    console = Console()
    console.print(table)
    for label, found in plans.items():
        if found.suggestion:
            console.print(f"[green]{label}[/green] Suggested: {found.suggestion}.", highlight=False)
    # A warning that several runs share appears once.
    warnings = dict.fromkeys(warning for found in plans.values() for warning in found.warnings)
    for warning in warnings:
        labels = ", ".join(label for label, found in plans.items() if warning in found.warnings)
        console.print(f"[yellow]{labels}[/yellow] {warning}", highlight=False)


def duration(seconds: float) -> str:
    """Seconds in the two units that read well."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def share(part: float, whole: float) -> str:
    """A part of a whole in per cent; 0 % of nothing."""
    return f"{part / max(whole, 1):.0%}"


def _phases(found: Plan) -> str:
    memory = found.memory
    return ", ".join(map(readable_size, (memory.forward, memory.backward, memory.step)))


_ROWS: Sequence[tuple[str, Callable[[Plan], str]]] = (
    ("training examples", lambda p: f"{p.examples:,}"),
    ("held out", lambda p: f"{p.held_out:,}"),
    ("truncated, left out", lambda p: f"{p.truncated:,}, {p.dropped:,}"),
    ("longest, in tokens", lambda p: f"{p.longest:,}"),
    ("prompt tokens per epoch", lambda p: f"{p.prompt_tokens:,}"),
    ("response tokens per epoch", lambda p: f"{p.response_tokens:,}"),
    ("  of them EOS tail", lambda p: f"{p.tail_tokens:,} ({share(p.tail_tokens, p.response_tokens)})"),
    ("share of the loss on the tail", lambda p: f"{p.tail_loss_share:.1%}"),
    ("share of the response masked", lambda p: f"{p.mask_ratio:.0%}"),
    ("padding", lambda p: f"{p.padding_share:.1%}"),
    ("parameters", lambda p: f"{p.parameters:,}"),
    ("  of them trained", lambda p: f"{p.trained_parameters:,}"),
    ("steps", lambda p: f"{p.steps:,}"),
    ("checkpoint every", lambda p: f"{p.checkpoint_every:,} steps"),
    ("memory, at its largest", lambda p: readable_size(p.memory.total)),
    ("  weights", lambda p: readable_size(p.memory.weights)),
    ("  gradients", lambda p: readable_size(p.memory.gradients)),
    ("  optimiser", lambda p: readable_size(p.memory.optimiser)),
    ("  activations", lambda p: readable_size(p.memory.activations)),
    ("  head", lambda p: readable_size(p.memory.head)),
    ("  at the head, backward, at the step", _phases),
    ("process, at its largest", lambda p: readable_size(p.peak_memory)),
    ("seconds per step", lambda p: f"{p.seconds_per_step:.2f}"),
    ("time", lambda p: duration(p.seconds.total)),
    ("  frozen rates", lambda p: duration(p.seconds.probing)),
    ("  training", lambda p: duration(p.seconds.training)),
    ("  held-out losses", lambda p: duration(p.seconds.evaluation)),
    ("  scoring", lambda p: duration(p.seconds.scoring)),
)
