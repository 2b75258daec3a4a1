"""The events of several traces as one stream, without a look at anything while nothing happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, aclosing

from fastapi.sse import ServerSentEvent

from api.schemas import TracePart, TraceStreamEvent
from workers.live_traces import LiveTrace


def parse_position(event_id: str | None, count: int) -> list[int]:
    """How many events of each of `count` traces were had, by the id of the last; none where it does not fit."""
    had = [int(part) for part in event_id.split(".")] if event_id else []
    return had if len(had) == count else [0] * count


async def stream(traces: Sequence[LiveTrace], had: Sequence[int]) -> AsyncGenerator[TraceStreamEvent, None]:
    """The events after the first `had` of each trace, until all have ended. An ended trace says so as its last."""
    position = list(had)
    loop, news = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        loop.call_soon_threadsafe(news.set)

    with ExitStack() as stack:
        for trace in traces:
            stack.enter_context(trace.listening(tell))
        while True:
            news.clear()
            open_ = False
            for index, trace in enumerate(traces):
                # In this order: what was added before the end is then never missed.
                ended, events = trace.ended, trace.events
                for number in range(position[index], len(events)):
                    position[index] = number + 1
                    yield _event("part", position, TracePart(trace=trace.id, state=trace.state, part=events[number]))
                if not ended:
                    open_ = True
                elif position[index] == len(events):
                    # Counted as one event more: whoever has had it is not told again.
                    position[index] += 1
                    part = TracePart(trace=trace.id, state=trace.state, problems=list(trace.problems))
                    yield _event("ended", position, part)
            if not open_:
                return
            await news.wait()


async def sent(events: AsyncGenerator[TraceStreamEvent, None]) -> AsyncGenerator[ServerSentEvent, None]:
    """The same in the form in which they are sent."""
    async with aclosing(events):
        async for event in events:
            yield ServerSentEvent(raw_data=event.data.model_dump_json(), event=event.event, id=event.id)


def _event(kind: str, position: Sequence[int], data: TracePart) -> TraceStreamEvent:
    return TraceStreamEvent.model_validate({"event": kind, "id": ".".join(map(str, position)), "data": data})
