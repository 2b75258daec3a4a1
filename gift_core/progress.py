"""How the command line shows a run, an inspection and a trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from gift_core.documents import Inspection, Token, Trace
from gift_core.objectives import masking_probability
from gift_core.reporting import Line
from gift_core.run import run_training
from gift_core.spec import RunSpec


def train_with_progress(label: str, spec: RunSpec, directory: Path, console: Console) -> dict[str, Any]:
    """Train with a progress bar on `console`; data sets are paths."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[shown]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(f"{label} loading", total=None, shown="")

        def show(line: Line) -> None:
            bar.update(
                task,
                description=f"{label} {line['phase']}",
                completed=line["step"],
                total=line["total_steps"],
            )
            if "loss" in line["values"]:
                bar.update(task, shown=f"loss {line['values']['loss']:.3f}")

        return run_training(spec, directory, Path, show)


def print_inspection(inspection: Inspection, t: float) -> None:
    """A table: one row per response token, entropy and t_i for each checkpoint."""
    import torch

    table = Table("", "token")
    columns = []
    for checkpoint in inspection.checkpoints:
        table.add_column(f"{checkpoint.label}\nH nats", justify="right")
        table.add_column(f"t_i at\nt={t:g}", justify="right")
        relative = torch.tensor(checkpoint.relative_rate)
        columns.append((checkpoint.entropy, masking_probability(torch.tensor(t), relative).tolist()))
    for position, token in enumerate(inspection.response):
        cells = [f"{value[position]:.3f}" for pair in columns for value in pair]
        table.add_row(str(position), _visible(token), *cells)
    Console().print(table)


def print_trace(trace: Trace) -> None:
    """One line per step: what stands in the response, with the tokens of that step marked."""
    console = Console()
    console.print(f"[bold]{trace.label}[/bold] {trace.verdict}")
    shown: list[str] = ["░"] * trace.length
    for index, step in enumerate(trace.steps):
        for commit in step:
            shown[commit.position] = _visible(commit.token)
        fresh = {commit.position for commit in step}
        line = Text(f"{index + 1:4d} ")
        for position, text in enumerate(shown):
            line.append(text, style="reverse" if position in fresh else "")
        console.print(line)
    uncertainty = np.mean([commit.confidence for step in trace.steps for commit in step])
    console.print(f"mean confidence at commit {uncertainty:.2f}, {trace.seconds:.2f} s\n")


def _visible(token: Token) -> str:
    return token.text.replace("\n", "⏎") or "·"
