"""Tables for people and JSON for programs. Texts of a studio are shown as they are, never as markup."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gift_core.escaping import escaped, escaped_json

# Of a table that goes to a file or another program: nothing is cut off.
_WIDE = 1000
_STATE_STYLES = {
    "queued": "dim",
    "running": "blue",
    "stopping": "yellow",
    "finished": "green",
    "stopped": "yellow",
    "failed": "red",
    "interrupted": "red",
}

Column = Callable[[Any], object]


def print_json(value: object, *, one_line: bool = False) -> None:
    """Models, or lists and dictionaries of them; a number that is not finite is null."""
    from pydantic_core import to_json

    text = to_json(value, indent=None if one_line else 2, inf_nan_mode="null").decode()
    sys.stdout.write(escaped_json(text) + "\n")
    sys.stdout.flush()


def print_table(rows: Iterable[object], columns: Mapping[str, Column], nothing: str) -> None:
    """A row for each object; `nothing` is said where there are none."""
    rows = list(rows)
    # Looked up now: a test, or a shell, may have put another stream there.
    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    if not rows:
        console.print(nothing, markup=False, highlight=False)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, heading in enumerate(columns):
        # An id is to be copied, so it is never cut.
        table.add_column(heading, no_wrap=place == 0, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(heading, column(row)) for heading, column in columns.items()))
    console.print(table)


def print_list(found: Sequence[object], columns: Mapping[str, Column], nothing: str, *, as_json: bool) -> None:
    """What a command that lists has found, for programs or for people."""
    if as_json:
        print_json(found)
    else:
        print_table(found, columns, nothing)


def say(text: str) -> None:
    """A line for people, to standard output."""
    Console(width=None if sys.stdout.isatty() else _WIDE).print(Text(escaped(text)), soft_wrap=True)


def date(seconds: float | None) -> str:
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def duration(seconds: float | None) -> str:
    """Such as 1 h 02 min; empty where it is not known."""
    if seconds is None:
        return ""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {whole % 60:02d} s" if minutes else f"{whole} s"


def progress(job: Any) -> str:
    """Steps taken, of how many."""
    if job.total_steps:
        return f"{job.step:,}/{job.total_steps:,}"
    return f"{job.step:,}" if job.step else ""


def why(job: Any) -> str:
    """What a failed job failed of, and what to do about it."""
    failure = job.failure
    return f"{failure.code}: {failure.message} {failure.remedy}".strip() if failure else ""


def _cell(heading: str, value: object) -> Text:
    text = escaped("" if value is None else str(value))
    return Text(text, style=_STATE_STYLES.get(text, "") if heading == "state" else "")
