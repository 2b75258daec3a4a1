"""`gift check-data`: what a file holds, or everything that is wrong with it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from gift_core.cli_common import console
from gift_core.data_spec import ColumnMapping, HubSource
from gift_core.dataset_summary import DatasetSummary, Duplicates, Quantiles
from gift_core.errors import Problem

_KINDS_SHOWN = 5
Name = Annotated[str | None, typer.Option(help="Its name; found by name when left out.")]


def check_data(
    data: Annotated[str, typer.Argument(help="A JSONL, JSON, CSV or Parquet file; with --hub, owner/name.")],
    hub: Annotated[bool, typer.Option("--hub", help="Take it from the Hugging Face Hub.")] = False,
    config: Annotated[str | None, typer.Option(help="With --hub: the configuration.")] = None,
    split: Annotated[str, typer.Option(help="With --hub: the split.")] = "train",
    revision: Annotated[str | None, typer.Option(help="With --hub: a branch, tag or commit.")] = None,
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
    """Read a file as training would: what it holds, or every row that cannot be used. Exits with 1 where there is one.

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
    paths = _from_hub(data, config, split, revision) if hub else [Path(data)]
    kinds: Counter[str] = Counter()
    problems = _counted(all_problems(paths, mapping), kinds)
    if problems_to:
        with problems_to.open("w", encoding="utf-8", newline="") as file:
            write_problems(file, problems)
    else:
        for problem in problems:
            sys.stdout.write(f"{problem}\n")
    if kinds:
        _print_kinds(kinds)
        raise typer.Exit(1)
    summary = summary_of(paths, mapping)
    if as_json:
        sys.stdout.write(summary.model_dump_json(indent=2) + "\n")
    else:
        _print(summary)


def _from_hub(name: str, config: str | None, split: str, revision: str | None) -> list[Path]:
    from gift_core.data.hub import resolve_split

    return resolve_split(HubSource.parse({"dataset": name, "config": config, "split": split, "revision": revision}))


def _counted(problems: Iterator[Problem], kinds: Counter[str]) -> Iterator[Problem]:
    for problem in problems:
        kinds[problem.message] += 1
        yield problem


def _print_kinds(kinds: Counter[str]) -> None:
    console.print(f"[red]{kinds.total():,} problems[/red], most often:", highlight=False)
    for message, count in kinds.most_common(_KINDS_SHOWN):
        console.print(f"{count:>9,}  {escape(message)}", highlight=False)


def _print(summary: DatasetSummary) -> None:
    table = Table("", Column("", overflow="fold"), show_header=False, box=None)
    used = {
        "prompt": summary.prompt_column,
        "response": summary.response_column,
        "goes on with": summary.context_column,
        "system": summary.system_column,
    }
    facts = {
        "Rows": f"{summary.rows:,}",
        "Layout": f"{summary.layout}: " + ", ".join(f"{use} {column}" for use, column in used.items() if column),
        "Turns before the prompt": f"in {summary.with_history:,} rows",
        "Prompt": _sizes(summary.prompt_characters),
        "Response": _sizes(summary.response_characters),
        "Duplicates": _duplicates(summary.duplicates),
        "Fingerprint": summary.fingerprint,
    }
    for name, value in facts.items():
        table.add_row(name, escape(value))
    Console(highlight=False).print(table)


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
