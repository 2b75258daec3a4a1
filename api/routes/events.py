"""The live stream of a client: everything that it watches, in one connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response

from api import event_response
from api.access.stream_check import StreamCheck
from api.dependencies import HubDependency, StudioDependency, TracesDependency
from api.errors import documented
from api.event_response import EventResponse
from api.multiplex import EVENT_ID, Place, after_unknown, multiplexed
from api.permissions import Action, allow
from api.topics import MOST_TOPICS, TopicName, TopicNames, Topics
from workers.live_traces import LiveTrace
from workers.store import NotFoundError
from workers.studio import Studio
from workers.traces import TraceService

router = APIRouter(tags=["events"])


@dataclass(frozen=True)
class Watched:
    """Topics that there are, and the names of those that there are not."""

    topics: Topics
    traces: list[LiveTrace]
    unknown: list[str]


def _watched(
    topic: TopicNames,
    studio: StudioDependency,
    traces: TracesDependency,
    known_only: Annotated[
        bool, Query(description="Leave out topics that there are not, and name them in a first event, `unknown`.")
    ] = False,
) -> Watched:
    # A dependency, because once the stream has begun it is too late to answer 404.
    found: list[LiveTrace] = []
    known: list[str] = []
    for name in dict.fromkeys(topic):
        try:
            found += _look_up(name, studio, traces)
        except NotFoundError:
            if not known_only:
                raise
        else:
            known.append(name)
    return Watched(Topics.parse(known), found, [name for name in dict.fromkeys(topic) if name not in known])


def _look_up(name: str, studio: Studio, traces: TraceService) -> list[LiveTrace]:
    """The trace that a topic is about, if it is about one; raises `NotFoundError` where there is no such thing."""
    kind, _, identity = name.partition(":")
    match kind:
        case "experiment":
            studio.store.experiment(identity)
        case "job":
            studio.store.job(identity)
        case "trace":
            return [traces.live(identity)]
    return []


@router.get(
    "/events",
    dependencies=[allow(Action.LOOK)],
    response_class=Response,
    responses={**event_response.DOCUMENTED, **documented(404)},
)
async def stream_events(
    hub: HubDependency,
    watched: Annotated[Watched, Depends(_watched)],
    is_allowed: StreamCheck,
    last_event_id: Annotated[str | None, Header(pattern=EVENT_ID)] = None,
    after: Annotated[str | None, Query(pattern=EVENT_ID, description="An event id to go on from.")] = None,
    anew: Annotated[
        list[TopicName] | None,
        Query(
            max_length=MOST_TOPICS, description="Topics of which everything is wanted, also what came before `after`."
        ),
    ] = None,
) -> EventResponse:
    """First all there is about the topics, or all after the event named, then whatever happens.

    `run` and `job` say how a run of an experiment, or a job, is now; `metrics` brings `{run_id, points}`; `queue` says
    what waits; `part` and `ended` bring a trace. Changes of the queue are sent from now on. `complete` names
    topics of `anew`: all of theirs that came before `after` was sent. A client that reconnects names its traces in the
    same order.
    """
    # A browser that reconnects by itself sends the header and repeats the address, `after` included.
    start = last_event_id or after
    place = Place.parse(start) if start else None
    events = multiplexed(
        hub, watched.topics, watched.traces, place, _those_in(watched.topics, Topics.parse(anew or ()))
    )
    return EventResponse(after_unknown(watched.unknown, events) if watched.unknown else events, is_allowed)


def _those_in(topics: Topics, some: Topics) -> Topics:
    """Those of `some` that are watched at all."""
    return Topics(topics.experiments & some.experiments, topics.jobs & some.jobs, topics.queue and some.queue)
