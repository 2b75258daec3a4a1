"""Infill as text: one line for each piece that stands in the response from the beginning, `3: So`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gift_core.errors import Problem
from gift_core.trace import Trace
from ui.connection import StudioError

# As the token strip draws a line break, which a line cannot hold itself.
_BREAK = "⏎"
_LINE = re.compile(r"\s*(\d{1,9})\s*: ?(.+)")


@dataclass(frozen=True)
class GivenText:
    """Edits as the API takes them, and which line each came from."""

    edits: list[dict[str, object]]
    names: list[str]


def parse_given(text: str) -> GivenText:
    """The edits of all lines that are not empty; raises `StudioError` that names those that cannot be read."""
    edits: list[dict[str, object]] = []
    names: list[str] = []
    problems = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line.strip():
            continue
        if found := _LINE.fullmatch(line):
            edits.append({"position": int(found[1]), "text": found[2].replace(_BREAK, "\n")})
            names.append(f"given text, line {number}")
        else:
            remedy = "Write a position, a colon and the text, such as 3: So"
            problems.append(Problem(f"{line.strip()[:40]!r} has no position.", f"given text, line {number}", remedy))
    if problems:
        raise StudioError(problems, 422)
    return GivenText(edits, names)


def given_text(trace: Trace) -> str:
    """What was given to a trace, as lines."""
    known = trace.vocabulary()
    pieces = [(each.position, known[each.token].text) for each in trace.start.standing if each.kind == "given"]
    return "\n".join(f"{position}: {text.replace(chr(10), _BREAK)}" for position, text in pieces)
