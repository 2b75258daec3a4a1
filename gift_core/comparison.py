"""Two traces of one prompt side by side: where they part, and how they differ at every position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from gift_core.documents import Document
from gift_core.errors import SpecError
from gift_core.trace import Frame, Trace

Alignment = Literal["step", "fraction", "mask_ratio"]


class Divergence(Document):
    """The first step at which two traces commit differently, from 1. A branch counts on from where it left."""

    step: int
    positions: list[int] = Field(
        description="Positions at which that step commits another token, or in one trace only."
    )


class PositionDifference(Document):
    """One position of the response under both traces; a measure is null where one of them did not commit it.

    Differences are the second trace's value minus the first's.
    """

    position: int
    same_token: bool
    commit_step: tuple[int | None, int | None] = Field(description="Which step committed it, from 1.")
    commit_step_difference: int | None
    confidence_difference: float | None = Field(description="Of the probabilities of what was committed.")
    entropy_difference: float | None = Field(description="Nats, just before each committed it.")


class TraceComparison(Document):
    """`same_tokens` of `length` positions hold the same token at last."""

    labels: tuple[str, str]
    length: int
    same_tokens: int
    settings: list[str] = Field(description="What the traces were not made alike: sampling fields, seed, prompt.")
    divergence: Divergence | None = Field(description="None where every step is the same.")
    positions: list[PositionDifference]
    alignments: dict[Alignment, list[tuple[int, int]]] = Field(
        description="Cursors (frames played) of both to be shown together, from first to last."
    )


def compare(first: Trace, second: Trace) -> TraceComparison:
    """Compare two traces with windows of one length; raises `SpecError` where they have not."""
    if first.length != second.length:
        raise SpecError(
            f"The responses have {first.length} and {second.length} positions.",
            field="traces",
            remedy="Compare traces of the same sampling.length.",
        )
    positions = _positions(first, second)
    return TraceComparison(
        labels=(first.start.label, second.start.label),
        length=first.length,
        same_tokens=sum(each.same_token for each in positions),
        settings=_settings(first, second),
        divergence=_divergence(first, second),
        positions=positions,
        alignments={
            "step": _by_step(first, second),
            "fraction": _aligned(_fractions(first), _fractions(second)),
            "mask_ratio": _aligned(_committed(first), _committed(second)),
        },
    )


def _positions(first: Trace, second: Trace) -> list[PositionDifference]:
    commits = _commits(first), _commits(second)
    final = [trace.tokens_at(len(trace.frames)) for trace in (first, second)]
    found = []
    for position in range(first.length):
        one, other = (each.get(position) for each in commits)
        differences = [b - a for a, b in zip(one, other, strict=True)] if one and other else [None] * 3
        found.append(
            PositionDifference(
                position=position,
                same_token=final[0].get(position) == final[1].get(position),
                commit_step=(one[0] if one else None, other[0] if other else None),
                commit_step_difference=differences[0],
                confidence_difference=differences[1],
                entropy_difference=differences[2],
            )
        )
    return found


def _commits(trace: Trace) -> dict[int, tuple[int, float, float]]:
    """By position: the step that committed it, with which confidence, and the entropy just before, in nats."""
    found = {}
    entropies = trace.entropies()
    for number, frame in enumerate(trace.frames):
        for position, confidence in zip(frame.positions, frame.confidence, strict=True):
            found[position] = (trace.start.played + number + 1, confidence, float(entropies[number, position]))
    return found


def _divergence(first: Trace, second: Trace) -> Divergence | None:
    begin = max(first.start.played, second.start.played)
    for step in range(begin, max(trace.start.played + len(trace.frames) for trace in (first, second))):
        one, other = (_pairs(trace, step - trace.start.played) for trace in (first, second))
        if one != other:
            return Divergence(step=step + 1, positions=sorted({position for position, _ in one ^ other}))
    return None


def _pairs(trace: Trace, number: int) -> set[tuple[int, int]]:
    """Positions and tokens that a frame commits; none where there is no such frame."""
    frames: Sequence[Frame] = trace.frames[number : number + 1]
    return {pair for frame in frames for pair in zip(frame.positions, frame.tokens, strict=True)}


def _settings(first: Trace, second: Trace) -> list[str]:
    one, other = (trace.start.sampling.model_dump() for trace in (first, second))
    differing = [f"sampling.{name}" for name in one if one[name] != other[name]]
    if first.start.seed != second.start.seed:
        differing.append("seed")
    if [token.id for token in first.start.prompt] != [token.id for token in second.start.prompt]:
        differing.append("prompt")
    if _given(first) != _given(second):
        differing.append("given")
    return differing


def _given(trace: Trace) -> dict[int, int]:
    """What a person wrote into the response, by position."""
    return {each.position: each.token for each in trace.start.standing if each.kind != "placed"}


def _by_step(first: Trace, second: Trace) -> list[tuple[int, int]]:
    """The same number of steps; whoever begins later or ends earlier waits there."""
    traces = (first, second)
    begin = min(trace.start.played for trace in traces)
    last = max(trace.start.played + len(trace.frames) for trace in traces)

    def cursor(trace: Trace, step: int) -> int:
        return min(max(step - trace.start.played, 0), len(trace.frames))

    return [(cursor(first, step), cursor(second, step)) for step in range(begin, last + 1)]


def _fractions(trace: Trace) -> np.ndarray:
    """At every cursor, the share of the trace's own frames that were played."""
    return np.linspace(0, 1, len(trace.frames) + 1)


def _committed(trace: Trace) -> np.ndarray:
    """At every cursor, how many positions hold a token."""
    return np.cumsum([len(trace.start.standing), *(len(frame.positions) for frame in trace.frames)])


def _aligned(one: np.ndarray, other: np.ndarray) -> list[tuple[int, int]]:
    """For every cursor of the trace with more frames, the other's whose progress is nearest; neither ever goes back."""
    if len(other) > len(one):
        return [(left, right) for right, left in _aligned(other, one)]
    nearest = np.abs(one[:, None] - other[None]).argmin(1)
    nearest[-1] = len(other) - 1
    return list(enumerate(np.maximum.accumulate(nearest).tolist()))
