"""One stream of everything that one client watches: what the store tells, and traces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Self, TypeVar

from fastapi.sse import ServerSentEvent

from api.events import EventHub
from api.news import Position
from api.topics import MOST_TOPICS, NOTHING, NamedTopics, Topics
from api.trace_stream import parse_position, stream
from workers.live_traces import LiveTrace

T = TypeVar("T")

EVENT_ID = rf"^\d{{1,18}}\.\d{{1,18}}(~\d{{1,6}}(\.\d{{1,6}}){{0,{MOST_TOPICS - 1}}})?$"


@dataclass
class Place:
    """Where a client is: in the store, and in each of its traces. An event's id is the place after it."""

    store: Position
    traces: str = ""

    @classmethod
    def parse(cls, event_id: str) -> Self:
        """Of what matches `EVENT_ID`."""
        store, _, traces = event_id.partition("~")
        return cls(Position.parse(store), traces)

    def __str__(self) -> str:
        return f"{self.store}~{self.traces}" if self.traces else str(self.store)


async def multiplexed(
    hub: EventHub, topics: Topics, traces: Sequence[LiveTrace], start: Place | None, anew: Topics = NOTHING
) -> AsyncGenerator[ServerSentEvent, None]:
    """Everything about the topics after `start`, and all about those that are `anew`; ends only where there are traces
    alone, with the last of them."""
    place = start or Place(Position())

    async def of_store() -> AsyncGenerator[ServerSentEvent, None]:
        async with aclosing(hub.stream(topics.of_store, start.store if start else None, anew)) as events:
            async for place.store, told in events:
                yield ServerSentEvent(raw_data=told.text, event=told.event, id=str(place))

    async def of_traces() -> AsyncGenerator[ServerSentEvent, None]:
        async with aclosing(stream(traces, parse_position(place.traces, len(traces)))) as events:
            async for event in events:
                place.traces = event.id
                yield ServerSentEvent(raw_data=event.data.model_dump_json(), event=event.event, id=str(place))

    sources = [*([of_store()] if topics.of_store else []), *([of_traces()] if traces else [])]
    if not sources:
        return
    async with aclosing(sources[0] if len(sources) == 1 else merged(*sources)) as events:
        async for event in events:
            yield event


async def after_unknown(
    unknown: Sequence[str], events: AsyncGenerator[ServerSentEvent, None]
) -> AsyncGenerator[ServerSentEvent, None]:
    """The events, and before them which topics were left out."""
    yield ServerSentEvent(raw_data=NamedTopics(topics=list(unknown)).model_dump_json(), event="unknown")
    async with aclosing(events):
        async for event in events:
            yield event


async def merged(*sources: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """What any of them brings, as it comes, until all have ended."""
    waiting = {asyncio.ensure_future(anext(source)): source for source in sources}
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                source = waiting.pop(task)
                try:
                    found = task.result()
                except StopAsyncIteration:
                    continue
                # What it brings next is waited for only when this has been taken: nobody runs ahead of a slow client.
                yield found
                waiting[asyncio.ensure_future(anext(source))] = source
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for source in sources:
            await source.aclose()
