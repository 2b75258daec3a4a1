"""The live stream of a client: everything that it watches, in one connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response

from api import event_response
from api.dependencies import HubDependency, StudioDependency, TracesDependency
from api.errors import documented
from api.event_response import EventResponse
from api.multiplex import EVENT_ID, Place, multiplexed
from api.permissions import Action, allow
from api.topics import TopicNames, Topics
from workers.live_traces import LiveTrace

router = APIRouter(tags=["events"])


@dataclass(frozen=True)
class Watched:
    """Topics that there are."""

    topics: Topics
    traces: list[LiveTrace]


def _watched(topic: TopicNames, studio: StudioDependency, traces: TracesDependency) -> Watched:
    # A dependency, because once the stream has begun it is too late to answer 404.
    topics = Topics.parse(topic)
    for identity in topics.experiments:
        studio.store.experiment(identity)
    for identity in topics.jobs:
        studio.store.job(identity)
    return Watched(topics, [traces.live(identity) for identity in topics.traces])


@router.get(
    "/events",
    dependencies=[allow(Action.LOOK)],
    response_class=Response,
    responses={**event_response.DOCUMENTED, **documented(404)},
)
async def stream_events(
    hub: HubDependency,
    watched: Annotated[Watched, Depends(_watched)],
    last_event_id: Annotated[str | None, Header(pattern=EVENT_ID)] = None,
    after: Annotated[str | None, Query(pattern=EVENT_ID, description="An event id to go on from.")] = None,
) -> EventResponse:
    """First all there is about the topics, or all after the event named, then whatever happens.

    `run` and `job` say how a run of an experiment, or a job, is now; `metrics` brings `{run_id, points}`; `queue` says
    what waits; `part` and `ended` bring a trace. The queue is told of from now on. A client that comes back names its
    traces in the same order.
    """
    # A browser that reconnects by itself sends the header and repeats the address, `after` included.
    start = last_event_id or after
    place = Place.parse(start) if start else None
    return EventResponse(multiplexed(hub, watched.topics, watched.traces, place))
