"""Denoising for the pages: several traces at once, a step each in turn, kept under what they were asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from gift_core.errors import GiftError
from gift_core.recording import Recording
from gift_core.section import Seed
from gift_core.spec import SamplingSpec
from gift_core.trace import Branch, Edit, Frame, Trace, TraceStart, load_trace, save_trace
from workers.failures import unexpected
from workers.fairness.requester import STUDIO, Requester
from workers.kept import Jobs, KeptFiles, cancel
from workers.live_traces import LiveTrace, TraceState
from workers.store import ConflictError, NotFoundError

if TYPE_CHECKING:
    from gift_core.models.loading import DiffusionModel
    from gift_core.tracing import Beginning
    from workers.models import ModelShelf

_AT_ONCE = 16
_MOST_WAITING = 64
# Of one requester: two comparisons of as many checkpoints as a request may name.
_MOST_OWN = 8
# Ended traces that are remembered without their file: why they failed, who cancelled them.
_REMEMBERED = 200
# Files beyond this many go, those used longest ago first.
_KEPT = 2000


# What is not finished has 0 and its id; a file has its age, so to say: less for what was used later.
TracePlace = tuple[int, str]


class TraceOrder(BaseModel):
    """What decides a trace. Two equal orders give the same trace, so the second is answered with the first's."""

    model_config = ConfigDict(frozen=True)

    checkpoint: str
    prompt: str
    sampling: SamplingSpec
    seed: Seed
    edits: tuple[Edit, ...] = ()
    branch: Branch | None = None

    @property
    def id(self) -> str:
        return f"tr_{hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:32]}"


class TraceService:
    """Traces of one studio, in `directory`. Models are those of `shelf`."""

    def __init__(self, directory: Path, shelf: ModelShelf) -> None:
        self._shelf = shelf
        self._files = KeptFiles(directory, "tr", ".json.gz", _KEPT)
        self._jobs: Jobs[LiveTrace] = Jobs(
            "denoising",
            "traces are being made",
            at_once=_AT_ONCE,
            most=_MOST_WAITING,
            most_own=_MOST_OWN,
            remembered=_REMEMBERED,
        )

    def start(self, orders: Sequence[TraceOrder], by: Requester = STUDIO) -> list[LiveTrace]:
        """Begin what was not begun before; raises `ModelError`, `ConflictError` when too many wait already, and
        `TooManyJobsError` when too many of `by` do."""
        labels = [self._shelf.checkpoint(order.checkpoint).label for order in orders]
        return [self._start(order, label, by) for order, label in zip(orders, labels, strict=True)]

    def known(self, orders: Sequence[TraceOrder]) -> list[LiveTrace]:
        """Return the traces of these orders; raises `NotFoundError` unless all were begun before."""
        found = [self._jobs.get(order.id) or self._finished(order.id) for order in orders]
        if missing := [order.checkpoint for order, each in zip(orders, found, strict=True) if each is None]:
            raise NotFoundError(f"{', '.join(missing)} has not denoised this yet.", remedy="Press Denoise.")
        return [each for each in found if each]

    def branch(self, identity: str, cursor: int, edits: Sequence[Edit], by: Requester = STUDIO) -> LiveTrace:
        """Go on from a finished trace after `cursor` of its steps, with the same model, settings and noise."""
        start = self.trace(identity).start
        order = TraceOrder(
            checkpoint=start.checkpoint,
            prompt=start.prompt_text,
            sampling=start.sampling,
            seed=start.seed,
            edits=tuple(edits),
            branch=Branch(trace=identity, cursor=cursor),
        )
        return self.start([order], by)[0]

    def under_way(self, identity: str) -> LiveTrace | None:
        """A trace of which there is no file yet."""
        return self._jobs.get(identity)

    def live(self, identity: str) -> LiveTrace:
        """A trace, whether it is being made or is there; raises `NotFoundError`."""
        return self._jobs.get(identity) or LiveTrace.of(identity, self._stored(identity))

    def trace(self, identity: str) -> Trace:
        """A finished trace; raises `NotFoundError`, or `ConflictError` while it is no such."""
        live = self.live(identity)
        if live.state != TraceState.FINISHED:
            raise ConflictError(f"This trace is {live.state}.", remedy="Watch its events, or ask for it again.")
        return live.trace()

    def recent(self, limit: int, after: TracePlace | None = None) -> list[tuple[TracePlace, LiveTrace]]:
        """Running, failed and cancelled traces, then finished ones, those used last first, each with its place.

        `after` is the place of the last one that the reader has. Places change as traces end and are used, so one may
        come twice.
        """
        found = [((0, live.id), live) for live in self._jobs.newest_first()] if after is None or not after[0] else []
        if after is not None and after in (places := [place for place, _ in found]):
            found = found[places.index(after) + 1 :]
        for age, path in self._files.by_age():
            if len(found) >= limit:
                break
            place = (age, self._files.name(path))
            if after is not None and after[0] and place <= after:
                continue
            # One that is removed in between is not missed, nor one that is damaged.
            with suppress(GiftError):
                found.append((place, LiveTrace.of(place[1], load_trace(path))))
        return found[:limit]

    def cancel(self, identity: str) -> LiveTrace:
        """Stop a trace after the step it is in; leaves an ended one alone. Raises `NotFoundError`."""
        live = self.live(identity)
        cancel(live)
        return live

    def close(self) -> None:
        """Stop everything after the steps it is in."""
        self._jobs.close()

    def _start(self, order: TraceOrder, label: str, by: Requester) -> LiveTrace:
        return self._jobs.begin(
            order.id,
            lambda: self._finished(order.id),
            lambda: LiveTrace(order.id, order.checkpoint, label, by),
            lambda live: self._run(live, order),
        )

    def _finished(self, identity: str) -> LiveTrace | None:
        found = self._recorded.get(identity) or self._readable(identity)
        return LiveTrace.of(identity, found) if found else None

    @cached_property
    def _recorded(self) -> dict[str, Trace]:
        """What the pages ask for first in a new studio: no model has to be loaded for that."""
        found = {}
        for trace in Recording.bundled().traces:
            start = trace.start
            order = TraceOrder(
                checkpoint=start.checkpoint, prompt=start.prompt_text, sampling=start.sampling, seed=start.seed
            )
            found[order.id] = trace
        return found

    def _run(self, live: LiveTrace, order: TraceOrder) -> None:
        try:
            self._denoise(live, order)
        except GiftError as error:
            live.end(TraceState.FAILED, error.problems)
        except Exception as error:
            live.end(TraceState.FAILED, unexpected(error, f"trace {live.id}"))

    def _denoise(self, live: LiveTrace, order: TraceOrder) -> None:
        from gift_core.tracing import trace_steps

        if live.cancelled.is_set():
            return
        with self._shelf.turns.held(live.by):
            model = self._shelf.load(self._shelf.checkpoint(order.checkpoint))
        steps = trace_steps(
            model,
            order.prompt,
            order.sampling,
            order.seed,
            checkpoint=order.checkpoint,
            label=live.label,
            beginning=self._beginning(order, model),
        )
        while True:
            # A step at a time: others get their turn in between.
            with self._shelf.turns.held(live.by):
                event = next(steps, None)
            if event is None:
                break
            if not live.add(event):
                return
            if live.cancelled.is_set() and isinstance(event, Frame | TraceStart):
                live.end(TraceState.CANCELLED)
                return
        path = self._files.path(live.id)
        assert path
        save_trace(live.trace(), path)
        self._files.remove_oldest()
        # From here on it is the file.
        self._jobs.drop(live)
        live.end(TraceState.FINISHED)

    def _beginning(self, order: TraceOrder, model: DiffusionModel) -> Beginning:
        from gift_core.tracing import branch, infill

        if order.branch is None:
            return infill(model, order.edits, order.sampling.length)
        parent = self.trace(order.branch.trace)
        return branch(parent, order.branch.cursor, order.edits, model, order.branch.trace)

    def _readable(self, identity: str) -> Trace | None:
        """A stored trace; None where there is none, or none that can be read: it is then made again."""
        with suppress(GiftError):
            return self._stored(identity)
        return None

    def _stored(self, identity: str) -> Trace:
        if identity in self._recorded:
            return self._recorded[identity]
        # An id comes from an address: it must be one before it becomes part of a path.
        path = self._files.path(identity)
        if path is None or not path.exists():
            raise NotFoundError(f"There is no trace {identity!r}.", remedy="Check the link, or denoise again.")
        try:
            found = load_trace(path)
        except GiftError as error:
            raise NotFoundError(f"Trace {identity!r} is damaged.", remedy="Denoise again.") from error
        self._files.used(path)
        return found
