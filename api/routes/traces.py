"""Denoising: begun at once, watched step by step, kept, gone on from and compared."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import TypeAdapter

from api import event_response
from api.access.stream_check import StreamCheck
from api.caller import Caller
from api.dependencies import StudioDependency, TracesDependency
from api.errors import documented
from api.event_response import EventResponse
from api.idempotency import KeyedDependency
from api.owners import owner_of_trace
from api.pages import Cursor, Page, decode, page_of
from api.permissions import Action, allow
from api.schemas import BranchRequest, Compute, DenoisingRequest, TraceView
from api.trace_stream import parse_position, sent, stream
from gift_core.comparison import TraceComparison, compare
from gift_core.trace import Trace
from workers.live_traces import LiveTrace
from workers.traces import TraceOrder, TracePlace

router = APIRouter(tags=["traces"])

_EVENT_ID = r"^\d{1,6}(\.\d{1,6}){0,7}$"
_PLACE: TypeAdapter[TracePlace] = TypeAdapter(TracePlace)
TraceId = Annotated[str, Query(max_length=100)]


def _watched(
    traces: TracesDependency,
    trace: Annotated[list[str], Query(min_length=1, max_length=8, description="The traces to watch.")],
) -> list[LiveTrace]:
    # A dependency, because once the stream has begun it is too late to answer 404.
    return [traces.live(identity) for identity in trace]


@router.post("/traces", status_code=202, responses=documented(400, 404, 409, 413))
def denoise(
    request: DenoisingRequest,
    traces: TracesDependency,
    studio: StudioDependency,
    caller: Annotated[Caller, allow(Action.TRY)],
    keyed: KeyedDependency,
    compute: Compute = True,
) -> list[TraceView]:
    """Begin a trace with each checkpoint, on the same noise. What was asked for before is there at once."""
    orders = [
        TraceOrder(
            checkpoint=checkpoint,
            prompt=request.prompt,
            sampling=request.sampling,
            seed=request.seed,
            edits=tuple(request.edits),
        )
        for checkpoint in request.checkpoints
    ]
    if not compute:
        return [TraceView.from_record(live) for live in traces.known(orders)]
    with studio.keys.held(keyed.claim(caller, request)):
        return [TraceView.from_record(live) for live in traces.start(orders, caller.requester)]


@router.get("/traces", dependencies=[allow(Action.LOOK)], responses=documented(400))
def list_traces(
    traces: TracesDependency, limit: Annotated[int, Query(ge=1, le=100)] = 20, cursor: Cursor = None
) -> Page[TraceView]:
    """Traces that are being made, then finished ones, those used last first. One used meanwhile may come twice."""
    found = traces.recent(limit + 1, decode(cursor, _PLACE))
    return page_of(found, limit, lambda each: TraceView.from_record(each[1]), lambda each: each[0])


@router.get(
    "/traces/events",
    dependencies=[allow(Action.LOOK)],
    response_class=Response,
    responses={**event_response.DOCUMENTED, **documented(404)},
)
async def stream_traces(
    watched: Annotated[list[LiveTrace], Depends(_watched)],
    is_allowed: StreamCheck,
    last_event_id: Annotated[str | None, Header(pattern=_EVENT_ID)] = None,
) -> EventResponse:
    """All parts of these traces, or those after the event named, and then each as soon as it is there."""
    return EventResponse(sent(stream(watched, parse_position(last_event_id, len(watched)))), is_allowed)


@router.get("/traces/{trace_id}", dependencies=[allow(Action.EXAMINE)], responses=documented(404, 409))
def get_trace(trace_id: str, traces: TracesDependency) -> Trace:
    """A finished trace, as docs/trace.md describes it."""
    return traces.trace(trace_id)


@router.post(
    "/traces/{trace_id}/cancel", dependencies=[allow(Action.CANCEL, owner_of_trace)], responses=documented(404)
)
def cancel(trace_id: str, traces: TracesDependency) -> TraceView:
    """Stop a trace that one has begun after the step it is in; nothing happens to one that has ended."""
    return TraceView.from_record(traces.cancel(trace_id))


@router.post("/traces/{trace_id}/branches", status_code=202, responses=documented(400, 404, 409, 413))
def branch(
    trace_id: str,
    request: BranchRequest,
    traces: TracesDependency,
    studio: StudioDependency,
    caller: Annotated[Caller, allow(Action.TRY)],
    keyed: KeyedDependency,
) -> TraceView:
    """Go on from a finished trace after some of its steps, with edits, on the noise that it would have had."""
    with studio.keys.held(keyed.claim(caller, request)):
        return TraceView.from_record(traces.branch(trace_id, request.cursor, request.edits, caller.requester))


@router.get("/comparisons", dependencies=[allow(Action.EXAMINE)], responses=documented(404, 409))
def compare_traces(first: TraceId, second: TraceId, traces: TracesDependency) -> TraceComparison:
    """Where two finished traces part, and how they differ at every position."""
    return compare(traces.trace(first), traces.trace(second))
