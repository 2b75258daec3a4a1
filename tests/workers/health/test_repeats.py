"""A fault that lasts is logged once a minute, and how often it came is said."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from workers.health.repeats import Repeats
from workers.logs import bound, set_up_logs


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def written(clock: Clock) -> Iterator[list[str]]:
    """What a logger of this name writes, with the filter before it."""
    found: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    handler = Keep()
    handler.addFilter(Repeats(60.0, clock))
    logger = logging.getLogger("repeats")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield found
    logger.removeHandler(handler)


def fail(message: str, error: Exception, *arguments: object) -> None:
    try:
        raise error
    except Exception:
        logging.getLogger("repeats").exception(message, *arguments)


def test_the_same_fault_is_written_once_a_minute_with_the_number_left_out(clock: Clock, written: list[str]) -> None:
    for second in range(150):
        clock.now = float(second)
        fail("it could not be looked for", OSError(errno.EMFILE, "Too many open files"))
    assert written == [
        "it could not be looked for",
        "it could not be looked for (59 more since the last one)",
        "it could not be looked for (59 more since the last one)",
    ]


def test_what_says_something_else_is_written(clock: Clock, written: list[str]) -> None:
    for job in ("run_1", "run_2"):
        for _ in range(3):
            fail("job %s waits", OSError(errno.EMFILE, "Too many open files"), job)
            fail("job %s waits", OSError(errno.EIO, "Input/output error"), job)
            fail("job %s waits", ValueError("x"), job)
    assert written == ["job run_1 waits"] * 3 + ["job run_2 waits"] * 3
    logging.getLogger("repeats").info("taken")
    logging.getLogger("repeats").info("taken")
    assert written[6:] == ["taken", "taken"], "what goes well is not counted"


def test_many_different_messages_are_written_and_not_remembered_for_ever(written: list[str]) -> None:
    for number in range(2000):
        logging.getLogger("repeats").warning("message %d", number)
    assert len(written) == 2000


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    own = {name: logging.getLogger(name).level for name in ("workers", "api", "gift_core", "ui", "app")}
    opened = io.StringIO()
    set_up_logs("json", "info", opened)
    yield opened
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in own.items():
        logging.getLogger(name).setLevel(before)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_each_request_and_each_job_is_told_of(stream: io.StringIO) -> None:
    logger = logging.getLogger("api.test")
    for request in ("r1", "r2", "r1"):
        with bound(request_id=request):
            logger.error("failed")
    assert [line["request_id"] for line in lines(stream)] == ["r1", "r2"]


def test_connections_that_cannot_be_accepted_are_told_of_once(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncio's own message, of a listener whose process has no descriptor left."""
    refused = 0

    def full(*_: object) -> None:
        nonlocal refused
        refused += 1
        raise OSError(errno.EMFILE, "Too many open files")

    async def listen() -> None:
        async def never(*_: object) -> None:
            raise AssertionError("nothing can be accepted")

        with socket.create_server(("127.0.0.1", 0)) as listener:
            monkeypatch.setattr(socket.socket, "accept", full)
            monkeypatch.setattr("asyncio.constants.ACCEPT_RETRY_DELAY", 0.01)
            server = await asyncio.start_server(never, sock=listener, backlog=1)
            with socket.create_connection(listener.getsockname()):
                while refused < 5:
                    await asyncio.sleep(0.01)
            server.close()

    asyncio.run(listen())
    (line,) = lines(stream)
    assert line["logger"] == "asyncio"
    assert line["message"].startswith("socket.accept() out of system resource")
