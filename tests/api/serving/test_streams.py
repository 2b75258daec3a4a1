"""How many streams of events there may be, of the API and of Gradio, and what is said to one more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from api.app import create_api
from api.rate_limits import TooManyError
from api.serving.streams import StreamLimit, StreamPlaces
from tests.api.secured import SECRET, person, secured_studio, session_of
from tests.services import wait_until
from tests.serving import serve
from workers.settings import Settings


def names(places: StreamPlaces, held: ExitStack, name: str, number: int, *, is_visitor: bool = False) -> None:
    for _ in range(number):
        held.enter_context(places.one(name, is_visitor=is_visitor, is_limited=True))


def test_a_caller_has_places_of_its_own_and_visitors_have_half_of_all() -> None:
    places = StreamPlaces(8, 3)
    with ExitStack() as held:
        names(places, held, "a visitor", 3, is_visitor=True)
        with pytest.raises(TooManyError, match="3 streams of events are open for you"):
            names(places, held, "a visitor", 1, is_visitor=True)
        names(places, held, "another", 1, is_visitor=True)
        with pytest.raises(TooManyError, match="as many streams of events as it can"):
            names(places, held, "a third", 1, is_visitor=True)
        names(places, held, "alice", 3)
        names(places, held, "bob", 1)
        with pytest.raises(TooManyError, match="as many"):
            names(places, held, "bob", 1)
    with ExitStack() as held:
        names(places, held, "alice", 3)
        # The only account of a studio without accounts is bounded with all others only.
        for _ in range(5):
            held.enter_context(places.one("local", is_visitor=False, is_limited=False))


def refused(answer: httpx.Response) -> bool:
    if answer.status_code != 429:
        return False
    assert answer.headers["retry-after"] == "10"
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["code"], problem["status"]) == ("too_many_requests", 429)
    assert "streams of events" in problem["detail"]
    return True


def test_the_api_refuses_a_stream_too_many_and_has_room_when_one_ends(tmp_path: Path) -> None:
    studio = secured_studio(tmp_path, public=True, account_streams=2, embedded_worker=False)
    with serve(create_api(studio)) as url, httpx.Client(trust_env=False, timeout=60) as client:
        address = f"{url}/api/v1/events?topic=queue"

        def asked() -> httpx.Response:
            with client.stream("GET", address) as answer:
                if answer.is_error:
                    answer.read()
                return answer

        with ExitStack() as held:
            for _ in range(2):
                assert held.enter_context(client.stream("GET", address)).is_success
            assert refused(asked())
            # Whatever is no stream, and a stream of somebody else, goes on.
            assert client.get(f"{url}/api/v1/runs").is_success
            signed_in = session_of(studio.accounts, person(studio.accounts, "alice"))
            assert held.enter_context(client.stream("GET", address, headers=signed_in)).is_success
        wait_until(lambda: asked().is_success, lambda: "the places are not free again")
    studio.close()


def test_any_other_stream_is_counted_by_account_or_address() -> None:
    app = FastAPI()
    app.add_middleware(StreamLimit, settings=Settings(secret=SECRET, account_streams=1))

    async def events() -> AsyncIterator[str]:
        while True:
            yield ": here\n\n"
            await asyncio.sleep(0.1)

    @app.get("/gradio_api/heartbeat/{name}")
    async def stream(name: str, request: Request, account: str = "") -> StreamingResponse:
        # As the pages' door does.
        request.state.account = account
        return StreamingResponse(events(), media_type="text/event-stream; charset=utf-8")

    with serve(app) as url, httpx.Client(trust_env=False, timeout=60) as client:

        def is_open() -> bool:
            with client.stream("GET", f"{url}/gradio_api/heartbeat/b") as again:
                return again.is_success

        with client.stream("GET", f"{url}/gradio_api/heartbeat/a") as first:
            assert first.is_success
            assert refused(client.get(f"{url}/gradio_api/heartbeat/b"))
            with client.stream("GET", f"{url}/gradio_api/heartbeat/b?account=alice") as of_alice:
                assert of_alice.is_success
                assert refused(client.get(f"{url}/gradio_api/heartbeat/c?account=alice"))
        wait_until(is_open, lambda: "the place is not free again")
