"""The live stream of an experiment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.dependencies import HubDependency, StudioDependency
from api.errors import documented
from api.events import Position
from api.permissions import Action, allow
from workers.records import Run

router = APIRouter(tags=["events"])

_EVENT_ID = r"^\d{1,18}\.\d{1,18}$"


def _watched_runs(
    studio: StudioDependency, experiment: Annotated[str, Query(description="The experiment to watch.")]
) -> list[Run]:
    # A dependency, because once the stream has begun it is too late to answer 404.
    return studio.store.runs(studio.store.experiment(experiment).id)


@router.get("/events", dependencies=[allow(Action.LOOK)], response_class=EventSourceResponse, responses=documented(404))
async def stream_events(
    hub: HubDependency,
    experiment: str,
    runs: Annotated[list[Run], Depends(_watched_runs)],
    last_event_id: Annotated[str | None, Header(pattern=_EVENT_ID)] = None,
    after: Annotated[str | None, Query(pattern=_EVENT_ID, description="An event id to go on from.")] = None,
) -> AsyncIterator[ServerSentEvent]:
    """`run` and `metrics` events: first all there is, or all after the event named, then whatever happens.

    `run` says how a run is now; `metrics` brings `{run_id, points}`.
    """
    # A browser that reconnects by itself sends the header and repeats the address, `after` included.
    start = last_event_id or after
    position = Position.parse(start) if start else Position()
    async with aclosing(hub.stream(experiment, [run.id for run in runs], position)) as events:
        async for event in events:
            yield ServerSentEvent(data=event.data, event=event.event, id=event.id)
