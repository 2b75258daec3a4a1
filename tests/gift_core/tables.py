"""One table of rows, written in each format that can be read."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

Rows = Sequence[Mapping[str, Any]]


def names_of(rows: Rows) -> list[str]:
    """The names of all rows, in order of appearance."""
    return list(dict.fromkeys(name for row in rows for name in row))


def write_jsonl(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def write_json(path: Path, rows: Rows) -> None:
    path.write_text(json.dumps(rows, indent=1), "utf-8")


def write_csv(path: Path, rows: Rows, separator: str = ",") -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names_of(rows), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)


def write_parquet(path: Path, rows: Rows) -> None:
    columns = {name: [row.get(name) for row in rows] for name in names_of(rows)}
    parquet.write_table(pyarrow.table(columns), path)


WRITERS: dict[str, Callable[[Path, Rows], None]] = {
    ".jsonl": write_jsonl,
    ".json": write_json,
    ".csv": write_csv,
    ".parquet": write_parquet,
}
