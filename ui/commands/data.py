"""Data sets: sending files, and what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gift_core.errors import SpecError
from ui.commands.connection import DEFAULT_SERVER, AsJson, Server, connect
from ui.commands.output import date, print_json, print_list, say


def upload(
    file: Annotated[
        Path, typer.Argument(help="JSONL, JSON, CSV or Parquet.", exists=True, dir_okay=False, readable=True)
    ],
    name: Annotated[str | None, typer.Option(help="What lists show; the file's name when left out.")] = None,
    task: Annotated[
        str | None, typer.Option(help="Its rows are problems of this task, to be evaluated on, not learned from.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=COLUMN",
            help="Which column holds what if its name does not say it: prompt_column, response_column, "
            "context_column, history_column, reasoning_column, system_column, conversation_column; and "
            "layout=alpaca, reasoning=omit and the like.",
        ),
    ] = None,
    as_json: AsJson = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Send a file; it is kept where every row can be used, and every row that cannot is named.

    `gift studio upload rows.jsonl`

    `gift studio upload questions.csv --column prompt_column=question --column response_column=answer`

    `gift studio launch --set 'data.source={kind: file, dataset: ID}'` learns from it.
    """
    mapping = _mapping(column or [])
    with connect(server) as client:
        found = client.upload(file, name or file.name, task, mapping)
    if as_json:
        return print_json(found)
    return say(f"{found.id}: {found.rows:,} rows of {found.name}")


def datasets(as_json: AsJson = False, server: Server = DEFAULT_SERVER) -> None:
    """List the data sets that were sent."""
    with connect(server) as client:
        found = client.datasets()
    return print_list(
        found,
        {
            "data set": lambda each: each.id,
            "name": lambda each: each.name,
            "rows": lambda each: f"{each.rows:,}",
            "bytes": lambda each: f"{each.bytes:,}",
            "created": lambda each: date(each.created),
        },
        "There are no data sets.",
        as_json=as_json,
    )


def _mapping(columns: list[str]) -> dict[str, str]:
    """What `--column` was given; raises `SpecError` for a field that no mapping has: the studio would not miss it."""
    from gift_core.data_spec import ColumnMapping

    mapping = {}
    for text in columns:
        field, separator, column = text.partition("=")
        if not separator or field not in ColumnMapping.model_fields:
            raise SpecError(
                f"{text!r} is not FIELD=COLUMN.",
                field="--column",
                remedy=f"The fields are {', '.join(ColumnMapping.model_fields)}.",
            )
        mapping[field] = column
    return mapping
