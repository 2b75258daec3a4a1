"""A real server and clients that send half of a head, nothing, a drop now and then, or do not read."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI, Response
from starlette.requests import Request

from api.serving import protocol
from api.serving.server import StudioServer, configuration
from tests.services import wait_until
from tests.serving import free_port
from workers.settings import Settings

HALF = b"GET / HTTP/1.1\r\nHost: studio\r\n"
PATIENCE = 60
LARGE = 64 * 2**20

Connect = Callable[[], socket.socket]


@contextmanager
def served(app: FastAPI, **settings: float) -> Iterator[tuple[str, Connect]]:
    """The address of a studio's server with these settings, and what makes a connection to it, until the block ends."""
    with free_port() as listener, ExitStack() as held:
        server = StudioServer(configuration(app, Settings(**settings), (), log_level="warning", lifespan="off"))  # type: ignore[arg-type]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            yield url, lambda: held.enter_context(connected(url))
        finally:
            server.should_exit = True
            thread.join()


def connected(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), timeout=PATIENCE)


def answering() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def root() -> str:
        return "here"

    @app.get("/large")
    async def large() -> Response:
        return Response(bytes(LARGE))

    @app.post("/refused")
    async def refused() -> Response:
        return Response(status_code=413)

    @app.post("/body")
    async def body(request: Request) -> int:
        return len(await request.body())

    return app


def is_closed(client: socket.socket) -> bool:
    """Whether the server has ended the connection; waits for it."""
    try:
        return client.recv(100) == b""
    except ConnectionResetError:
        return True


def answer(client: socket.socket, end: bytes) -> bytes:
    """What comes up to `end`, which may come in a packet of its own."""
    got = b""
    while not got.endswith(end) and (part := client.recv(1000)):
        got += part
    return got


def asks(url: str) -> bool:
    return httpx.get(url, trust_env=False).text == '"here"'


def test_a_visitor_is_served_while_many_connections_idle() -> None:
    with served(answering(), connections=20, head_seconds=3600) as (url, connect):
        idle = [connect() for _ in range(100)]
        for client in idle:
            client.sendall(HALF)
        assert asks(url)
        # The last ones are still there, and may go on.
        idle[-1].sendall(b"\r\n")
        assert b"200 OK" in idle[-1].recv(1000)
        assert all(is_closed(client) for client in idle[:70])
        assert asks(url)


@pytest.mark.parametrize("sent", [b"", HALF])
def test_a_head_that_does_not_come_is_not_waited_for(sent: bytes) -> None:
    with served(answering(), head_seconds=0.5) as (url, connect):
        client = connect()
        client.sendall(sent)
        assert is_closed(client)
        assert asks(url)


def test_a_head_that_dribbles_is_not_waited_for_also_after_an_answer() -> None:
    with served(answering(), head_seconds=1) as (_, connect):
        client = connect()
        client.sendall(HALF + b"\r\n")
        assert b"200 OK" in answer(client, b'"here"')
        client.settimeout(0.1)

        def dribbled() -> bool:
            try:
                client.sendall(b"G")
                return client.recv(100) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        wait_until(dribbled, lambda: "a byte every tenth of a second keeps the connection")


def test_the_rest_of_a_refused_body_is_not_waited_for() -> None:
    with served(answering(), head_seconds=1) as (_, connect):
        client = connect()
        client.sendall(b"POST /refused HTTP/1.1\r\nHost: studio\r\nContent-Length: 1000000\r\n\r\nabc")
        assert b"413" in client.recv(1000)
        assert is_closed(client)


def test_a_body_and_an_answer_have_times_of_their_own() -> None:
    with served(answering(), head_seconds=1) as (_, connect):
        client = connect()
        client.sendall(b"POST /body HTTP/1.1\r\nHost: studio\r\nContent-Length: 3\r\n\r\nab")
        threading.Event().wait(2)
        client.sendall(b"c")
        assert b"200 OK" in answer(client, b"\r\n\r\n3")


def test_an_answer_that_is_not_read_is_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "UNREAD_SECONDS", 0.5)
    with served(answering()) as (_, connect), closing(connect()) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: studio\r\n\r\n")
        threading.Event().wait(3)
        got = 0
        try:
            while part := client.recv(2**20):
                got += len(part)
        except ConnectionResetError:
            pass
        assert got < LARGE


def test_a_slow_reader_gets_all_of_it() -> None:
    with served(answering(), head_seconds=0.5) as (_, connect), closing(connect()) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: studio\r\n\r\n")
        got = 0
        while got < LARGE and (part := client.recv(2**20)):
            got += len(part)
            if got % (8 * 2**20) < len(part):
                threading.Event().wait(0.2)
        assert got > LARGE


def test_a_head_that_does_not_come_after_a_late_reading_is_not_waited_for() -> None:
    with served(answering(), head_seconds=0.5) as (_, connect), closing(connect()) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: studio\r\n\r\n")
        threading.Event().wait(1.5)
        got = 0
        while got < LARGE and (part := client.recv(2**20)):
            got += len(part)
        client.sendall(HALF)
        # Whatever of the answer is left comes first.
        while not is_closed(client):
            pass


def test_an_upgrade_is_answered_as_if_it_was_not_asked_for() -> None:
    with served(answering()) as (url, _):
        asked = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        assert httpx.get(url, headers=asked, trust_env=False).text == '"here"'


def test_a_server_ends_at_once_when_it_is_asked_to() -> None:
    server = StudioServer(configuration(answering(), Settings(port=1), (), lifespan="off"))

    async def run() -> bool:
        with free_port() as listener:
            serving = asyncio.create_task(server._serve([listener]))
            while not server.started:
                await asyncio.sleep(0.01)
            server.handle_exit(15, None)
            await asyncio.wait_for(serving, PATIENCE)
        return server._ending.is_set()

    assert asyncio.run(run()), "it was woken, and did not look by itself"
