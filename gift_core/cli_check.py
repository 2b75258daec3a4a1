"""`gift check-data`: what a file holds, or everything that is wrong with it; `gift datasets`: the catalogue."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from gift_core.cli_common import console
from gift_core.data.catalogue import DATASETS, find_dataset
from gift_core.data.texts import printable
from gift_core.data_spec import ColumnMapping, HubSource
from gift_core.dataset_summary import DatasetSummary, Duplicates, ExampleText, Quantiles
from gift_core.errors import Problem
from gift_core.escaping import escaped, escaped_json, escaped_line

_KINDS_SHOWN = 5
Name = Annotated[str | None, typer.Option(help="Its name; found by name when left out.")]


def check_data(
    data: Annotated[
        str,
        typer.Argument(
            help="A JSONL, JSON, CSV or Parquet file; a name that `gift datasets` lists; with --hub, owner/name."
        ),
    ],
    hub: Annotated[bool, typer.Option("--hub", help="Take it from the Hugging Face Hub.")] = False,
    config: Annotated[str | None, typer.Option(help="On the Hub: the configuration.")] = None,
    split: Annotated[str | None, typer.Option(help="On the Hub: the split; train when left out.")] = None,
    revision: Annotated[str | None, typer.Option(help="On the Hub: a branch, tag or commit.")] = None,
    layout: Annotated[str, typer.Option(help="pairs, alpaca, sharegpt, messages, or auto.")] = "auto",
    prompt_column: Name = None,
    response_column: Name = None,
    context_column: Name = None,
    history_column: Name = None,
    reasoning_column: Name = None,
    system_column: Name = None,
    conversation_column: Name = None,
    reasoning: Annotated[
        str, typer.Option(help="Form of reasoning in a response: protocol, think, or omit.")
    ] = "protocol",
    problems_to: Annotated[
        Path | None, typer.Option("--csv", help="Write the problems to this CSV file.", dir_okay=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Read a file as training would: print what it holds, or every row that cannot be used. Exits with 1 if there is
    such a row.

    Nothing is trained and no model is loaded.
    """
    from gift_core.data.checking import all_problems, summary_of, write_problems

    mapping = ColumnMapping.parse(
        {
            "layout": layout,
            "prompt_column": prompt_column,
            "response_column": response_column,
            "context_column": context_column,
            "history_column": history_column,
            "reasoning_column": reasoning_column,
            "system_column": system_column,
            "conversation_column": conversation_column,
            "reasoning": reasoning,
        }
    )
    on_hub = hub or is_in_catalogue(data)
    paths = _from_hub(data, config, split, revision) if on_hub else [Path(data)]
    kinds: Counter[str] = Counter()
    problems = _counted(all_problems(paths, mapping), kinds)
    if problems_to:
        with problems_to.open("w", encoding="utf-8", newline="") as file:
            write_problems(file, problems)
    else:
        for problem in problems:
            sys.stdout.write(f"{escaped_line(str(problem))}\n")
    if kinds:
        _print_kinds(kinds)
        raise typer.Exit(1)
    summary = summary_of(paths, mapping)
    if as_json:
        sys.stdout.write(escaped_json(summary.model_dump_json(indent=2)) + "\n")
    else:
        _print(summary)


def datasets(as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False) -> None:
    """List well-known data sets of the Hub, by the names that `gift train --data` and `gift check-data` take.

    Nothing is downloaded.
    """
    if as_json:
        sys.stdout.write(json.dumps([asdict(entry) for entry in DATASETS], indent=2) + "\n")
        return
    output, width = Console(highlight=False), max(len(entry.name) for entry in DATASETS)
    for entry in DATASETS:
        rows = f"{entry.rows:,} rows" if entry.rows is not None else ""
        facts = [entry.repository, rows, entry.licence or "", "used by the paper" if entry.used_by_paper else ""]
        output.print(f"[bold]{entry.name:<{width}}[/bold]  {', '.join(filter(None, facts))}", soft_wrap=True)
        output.print(f"{'':<{width}}  {escape(entry.learned)}", soft_wrap=True)


def is_in_catalogue(data: str) -> bool:
    """Whether what was given for a file is the short name of a data set, and no file of that name is there."""
    return find_dataset(data) is not None and not Path(data).exists()


def _from_hub(name: str, config: str | None, split: str | None, revision: str | None) -> list[Path]:
    from gift_core.data.hub import resolve_split

    given = {"dataset": name, "config": config, "split": split, "revision": revision}
    return resolve_split(HubSource.parse({field: value for field, value in given.items() if value}))


def _counted(problems: Iterator[Problem], kinds: Counter[str]) -> Iterator[Problem]:
    for problem in problems:
        kinds[problem.message] += 1
        yield problem


def _print_kinds(kinds: Counter[str]) -> None:
    console.print(f"[red]{kinds.total():,} problems[/red], most often:", highlight=False)
    for message, count in kinds.most_common(_KINDS_SHOWN):
        console.print(f"{count:>9,}  {escape(escaped_line(message))}", highlight=False)


def _print(summary: DatasetSummary) -> None:
    table = Table("", Column("", overflow="fold"), show_header=False, box=None)
    facts = {
        "Rows": f"{summary.rows:,}",
        "Recognised as": summary.recognised or "",
        "Layout": f"{summary.layout}: {', '.join(_uses(summary))}",
        "Not used": ", ".join(map(printable, summary.unused_columns)),
        "Turns before the prompt": f"in {summary.with_history:,} rows" if summary.with_history else "",
        "Prompt": _sizes(summary.prompt_characters),
        "Response": _sizes(summary.response_characters),
        "Duplicates": _duplicates(summary.duplicates),
        "Fingerprint": summary.fingerprint,
    }
    for name, value in facts.items():
        if value:
            table.add_row(name, escape(escaped(value)))
    output = Console(highlight=False)
    output.print(table)
    if summary.first_example:
        _print_example(output, summary.first_example)


def _uses(summary: DatasetSummary) -> list[str]:
    """Each column that is read, with its use; a conversation is one column for prompt and response."""
    if summary.prompt_column == summary.response_column:
        used = {"conversation": summary.prompt_column, "system prompt": summary.system_column}
    else:
        used = {
            "system prompt": summary.system_column,
            "turns before the prompt": summary.history_column,
            "prompt": summary.prompt_column,
            "continued by": summary.context_column,
            "reasoning": summary.reasoning_column,
            "response": summary.response_column,
        }
    return [f"{use} {printable(column)}" for use, column in used.items() if column is not None]


def _print_example(output: Console, example: ExampleText) -> None:
    """Print the first row as it is learned from, each part under its name."""
    parts = [*((turn.role, turn.text) for turn in example.history), ("prompt", example.prompt)]
    output.print(f"\nRow {example.row}, before the model's chat template:")
    for name, text in [*parts, ("response, learned", example.response)]:
        output.print(f"\n[bold]{escape(escaped_line(name))}[/bold]")
        output.print(Text(escaped(text)), soft_wrap=True)


def _sizes(sizes: Quantiles | None) -> str:
    if sizes is None:
        return ""
    return (
        f"{sizes.median:,} characters (median), {sizes.p90:,} (90 %), {sizes.p99:,} (99 %), "
        f"{sizes.most:,} at most, in row {sizes.longest_row:,}"
    )


def _duplicates(found: Duplicates | None) -> str:
    if found is None or not (found.repeated_rows or found.conflicting_prompts):
        return "none"
    groups = "; ".join(" = ".join(map(str, rows)) for rows in [*found.repeated[:3], *found.conflicting[:3]])
    return (
        f"rows that repeat an earlier one: {found.repeated_rows:,}; prompts with different responses: "
        f"{found.conflicting_prompts:,} (rows {groups})"
    )
