"""Real servers for tests: an application on a free port of this machine, in a thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI


@contextmanager
def serve(app: FastAPI) -> Iterator[str]:
    """The address of a server that runs until the block ends."""
    with free_port() as listener, serve_on(listener, app) as address:
        yield address


def free_port() -> socket.socket:
    """A listening socket, for an application that has to know its port before it is served."""
    # The protocol is named: asyncio turns Nagle's delay off only where it is, and each answer would take 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


@contextmanager
def serve_on(listener: socket.socket, app: FastAPI, *, shutdown_seconds: int = 1) -> Iterator[str]:
    """Serve on `listener`; open streams are cut off `shutdown_seconds` after the block ends."""
    config = uvicorn.Config(app, lifespan="on", log_level="warning", timeout_graceful_shutdown=shutdown_seconds)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
