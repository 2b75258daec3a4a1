"""A stream of events as it is sent: what clients get in silence, and what is left when they have gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from fastapi.sse import ServerSentEvent

from api import event_response
from api.event_response import EventResponse

HTTP = {"type": "http", "asgi": {"spec_version": "2.3"}}
EVENT = ServerSentEvent(raw_data='{"step":1}', event="metrics", id="1.0")


class Client:
    """Goes away once it was sent something that `leaves` holds for, and takes no more from then on."""

    def __init__(self, leaves: Callable[[bytes], bool]) -> None:
        self.got: list[bytes] = []
        self._leaves = leaves
        self._gone = asyncio.Event()

    async def send(self, message: dict[str, Any]) -> None:
        body = message.get("body", b"")
        self.got += [body] if body else []
        if self._leaves(body):
            self._gone.set()
        if self._gone.is_set():
            await asyncio.Event().wait()

    async def receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}


def send(events: Callable[[], AsyncGenerator[ServerSentEvent, None]], leaves: Callable[[bytes], bool]) -> list[bytes]:
    """What a client got, once nothing of the stream was left."""

    async def scenario() -> list[bytes]:
        client, ended = Client(leaves), asyncio.Event()

        async def watched() -> AsyncGenerator[ServerSentEvent, None]:
            try:
                async for event in events():
                    yield event
            finally:
                # As slow as whoever has to give back a connection.
                await asyncio.sleep(0)
                ended.set()

        await EventResponse(watched())(HTTP, client.receive, client.send)
        assert ended.is_set()
        assert len(asyncio.all_tasks()) == 1
        return client.got

    return asyncio.run(scenario())


async def without_end() -> AsyncGenerator[ServerSentEvent, None]:
    while True:
        yield EVENT


async def silence() -> AsyncGenerator[ServerSentEvent, None]:
    await asyncio.Event().wait()
    yield EVENT


async def one() -> AsyncGenerator[ServerSentEvent, None]:
    yield EVENT


async def broken() -> AsyncGenerator[ServerSentEvent, None]:
    yield EVENT
    raise RuntimeError("the store is gone")


def test_events_are_sent_until_there_are_no_more():
    assert send(one, lambda _: False) == [b'event: metrics\ndata: {"step":1}\nid: 1.0\n\n']


def test_nothing_is_left_of_a_stream_whose_client_went_away_while_an_event_was_sent():
    assert len(send(without_end, bool)) == 1


def test_nothing_is_left_of_a_stream_whose_client_went_away_in_silence(monkeypatch):
    monkeypatch.setattr(event_response, "SILENCE_SECONDS", 0.001)
    assert send(silence, bool) == [b": ping\n\n"]


def test_a_fault_of_the_source_is_raised():
    with pytest.raises(RuntimeError, match="the store is gone"):
        send(broken, lambda _: False)
