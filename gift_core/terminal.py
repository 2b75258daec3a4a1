"""Traces in a terminal: drawn in place while they come, one line a step where the output is no terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gift_core.comparison import TraceComparison
from gift_core.documents import Token, unpack
from gift_core.escaping import escaped
from gift_core.trace import Frame, Trace, TraceEnd, TraceStart

if TYPE_CHECKING:
    # Drawing what a studio sends needs none of what it takes to compute it.
    from gift_core.tracing import TraceEvent

# From certain to uncertain.
_SHADES = "░▒▓█"
# Of a comparison, so many of the positions that differ are listed.
_LISTED = 40


def watch(events: Iterable[TraceEvent]) -> Iterator[TraceEvent]:
    """Draw the events of a trace as they pass."""
    console = Console()
    events = iter(events)
    start = next(events)
    assert isinstance(start, TraceStart)
    drawing = _Drawing(start)
    yield start
    console.print(Text(escaped(start.label), style="bold"))
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for event in events:
            drawing.add(event)
            if not console.is_terminal and isinstance(event, Frame):
                console.print(drawing.line(event))
            live.update(drawing.line(event), refresh=True)
            yield event
    console.print(drawing.summary())


class _Drawing:
    def __init__(self, start: TraceStart) -> None:
        self._start = start
        self._tokens = {token.id: token for token in start.new_tokens}
        self._shown = {each.position: each.token for each in start.standing}
        self._confidence: list[float] = []
        self._frames = 0
        self._end: TraceEnd | None = None

    def add(self, event: TraceEvent) -> None:
        if isinstance(event, Frame):
            self._tokens |= {token.id: token for token in event.new_tokens}
            self._shown |= zip(event.positions, event.tokens, strict=True)
            self._confidence += event.confidence
            self._frames += 1
        elif isinstance(event, TraceEnd):
            self._end = event

    def line(self, event: TraceEvent) -> Text:
        """The response as it stands; what the step committed is marked, masks are the darker the less is known."""
        fresh = set(event.positions) if isinstance(event, Frame) else set()
        entropy = unpack(event.entropy) if isinstance(event, Frame) else np.zeros(self._start.sampling.length)
        line = Text(f"{self._frames:4d} ")
        for position in range(self._start.sampling.length):
            if position in self._shown:
                token = _in_line(self._tokens[self._shown[position]])
                line.append(token, style="reverse" if position in fresh else "")
            else:
                line.append(_SHADES[int(entropy[position]) * len(_SHADES) // 256], style="dim")
        return line

    def summary(self) -> Text:
        assert self._end is not None
        mean = f", mean confidence {np.mean(self._confidence):.2f}" if self._confidence else ""
        verdict = f"{self._end.verdict}, " if self._end.verdict else ""
        return Text(
            f"{escaped(self._end.text)}\n{verdict}{self._end.outcome} after {self._frames} steps in "
            f"{self._end.seconds:.2f} s{mean}\n"
        )


def print_comparison(found: TraceComparison, first: Trace, second: Trace) -> None:
    """What is alike and where the traces part, and a table of the positions that differ."""
    console = Console()
    share = f"{found.same_tokens} of {found.length} tokens are the same"
    parted = f"they part at step {found.divergence.step}" if found.divergence else "no step that both took differs"
    console.print(f"{share}; {parted}.", highlight=False)
    if found.settings:
        console.print(f"Not made alike: {', '.join(found.settings)}.", highlight=False)
    differing = [each for each in found.positions if not each.same_token or each.commit_step_difference]
    table = Table("", *map(escape, map(escaped, found.labels)), "step", "confidence", "entropy, nats")
    finals = [(trace.tokens_at(len(trace.frames)), trace.vocabulary()) for trace in (first, second)]
    for each in differing[:_LISTED]:
        texts = [_text(tokens.get(each.position), vocabulary) for tokens, vocabulary in finals]
        differences = (each.commit_step_difference, each.confidence_difference, each.entropy_difference)
        table.add_row(str(each.position), *texts, *map(_signed, differences))
    if differing:
        console.print(table)
    if len(differing) > _LISTED:
        console.print(f"... and {len(differing) - _LISTED} more positions; --json lists all.", highlight=False)


def _text(token: int | None, vocabulary: Mapping[int, Token]) -> Text:
    return Text("░" if token is None else _in_line(vocabulary[token]))


def _in_line(token: Token) -> str:
    """A token as part of a running line, with something to see where it has no text."""
    return escaped(token.text.replace("\n", "⏎")) or "·"


def _signed(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:+d}" if isinstance(value, int) else f"{value:+.2f}"
