"""`gift check`: whether runs could be trained, and what they would take, without loading a model."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gift_core.cli_common import Changes, console, parse_changes
from gift_core.escaping import escaped, escaped_json
from gift_core.preflight_document import LEAST_EFFECT
from gift_core.spec import METHODS, RunSpec, read_yaml

if TYPE_CHECKING:
    from gift_core.preflight_document import Estimates, PreflightReport, TimeEstimate


def check(
    spec_file: Annotated[
        Path | None, typer.Argument(help="A YAML file of the spec; the defaults when left out.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Look at this JSONL, JSON or CSV file instead of the spec's data.")
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(METHODS)}; may be repeated.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Repeat for several seeds.")] = None,
    changes: Changes = None,
    output: Annotated[Path, typer.Option(help="Where the runs will lie.", file_okay=False)] = Path("runs"),
    effect: Annotated[
        float,
        typer.Option(help="The difference in score, in points, that the runs are to tell.", min=LEAST_EFFECT, max=100),
    ] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Say everything that is wrong with a spec, and what its runs would take in time, memory, disk and tokens.

    Loads no model and trains nothing: `gift train --dry-run` measures three real steps. Ends with 1 where the runs
    could not be trained.
    """
    given = _experiment(spec_file, data, parse_changes(changes or []), method, seed)
    from gift_core.machine import Machine
    from gift_core.preflight_report import Surroundings, report

    found = report(given, Path, Surroundings(machine=Machine.here(output), effect=effect / 100, local_models=True))
    if as_json:
        sys.stdout.write(escaped_json(found.model_dump_json()) + "\n")
    else:
        print_report(found)
    if not found.ok:
        raise typer.Exit(1)


def _experiment(
    spec_file: Path | None,
    data: Path | None,
    changes: Mapping[str, Any],
    methods: Sequence[str] | None,
    seeds: Sequence[int] | None,
) -> object:
    """What the report is to judge: nothing of it need be right, and so nothing is parsed here."""
    run = read_yaml(spec_file) if spec_file else {}
    if not isinstance(run, dict):
        return {"run": run}
    source = {"data.source": {"kind": "file", "dataset": str(data)}} if data else {}
    defaults = RunSpec()
    for path, value in (source | dict(changes)).items():
        _put(run, path.split("."), value, defaults.model_dump(mode="json"))
    objective = run.get("objective")
    chosen = objective.get("method") if isinstance(objective, dict) else None
    return {
        "run": run,
        "methods": list(methods or [chosen or defaults.objective.method]),
        "seeds": list(seeds or [run.get("seed", defaults.seed)]),
    }


def _put(tree: dict[Any, Any], path: Sequence[str], value: Any, defaults: Any) -> None:
    """Set what is at `path`; a section that is not there begins as it is in `defaults`."""
    *parents, leaf = path
    for parent in parents:
        defaults = defaults.get(parent) if isinstance(defaults, dict) else None
        if not isinstance(tree.get(parent), dict):
            tree[parent] = dict(defaults) if isinstance(defaults, dict) else {}
        tree = tree[parent]
    tree[leaf] = value


def print_report(found: PreflightReport) -> None:
    """Problems and warnings to standard error, and a table of the estimates."""
    for problem in found.problems:
        console.print("[red]problem[/red]", escape(escaped(str(problem))), highlight=False)
    for warning in found.warnings:
        console.print("[yellow]warning[/yellow]", escape(escaped(str(warning))), highlight=False)
    rows = list(_rows(found.estimates))
    if rows:
        table = Table("", "estimate", show_header=False)
        for name, value in rows:
            table.add_row(name, value)
        Console().print(table)
    if found.estimates.time:
        Console().print(found.estimates.time.explanation, highlight=False)
    if found.ok:
        Console().print("These settings can be trained.", highlight=False)


def _rows(estimates: Estimates) -> list[tuple[str, str]]:
    from gift_core.forecast import share
    from gift_core.memory import readable_size

    rows = [("runs", f"{estimates.runs:,}")] if estimates.runs else []
    if tokens := estimates.tokens:
        of = "" if tokens.counted == tokens.examples else f", {tokens.counted:,} of them counted"
        rows += [
            ("training examples", f"{tokens.examples:,}{of}"),
            ("held out", f"{tokens.held_out:,}"),
            ("truncated, left out", f"{tokens.truncated:,}, {tokens.dropped:,}"),
            ("longest, in tokens", f"{tokens.longest:,}"),
            ("prompt tokens per epoch", f"{tokens.prompt:,}"),
            ("response tokens per epoch", f"{tokens.response:,}"),
            ("  of them EOS tail", f"{tokens.tail:,} ({share(tokens.tail, tokens.response)})"),
        ]
    if steps := estimates.steps:
        rows += [("steps", f"{steps.steps:,}"), ("checkpoint every", f"{steps.checkpoint_every:,} steps")]
    if memory := estimates.memory:
        rows.append(("memory at its peak", f"{readable_size(memory.needed)}{_free(memory.available)}"))
    if disk := estimates.disk:
        rows += [
            ("disk, all runs", f"{readable_size(disk.experiment)}{_free(disk.available)}"),
            ("  a run while it trains", readable_size(disk.peak)),
            ("  a run that has finished", readable_size(disk.left)),
        ]
    if steps := estimates.steps:
        rows.append(("training time, all runs", _time(estimates.time)))
        rows += [(f"  {time.label}", _time(time)) for time in estimates.time_by_run]
    return rows


def _free(available: int | None) -> str:
    from gift_core.memory import readable_size

    return "" if available is None else f" of {readable_size(available)} free"


def _time(time: TimeEstimate | None) -> str:
    from gift_core.forecast import duration

    if time is None:
        return "not known"
    low, high = duration(time.low), duration(time.high)
    likely = f"about {duration(time.likely)}"
    if time.basis == "computed":
        return f"{likely} (a rough guess: {low} to {high})"
    return likely if low == high else f"{likely} (usually {low} to {high})"
