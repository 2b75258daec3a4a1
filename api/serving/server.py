"""The web server: bounded connections, a main loop that sleeps, and an end without a second signal."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any

import uvicorn

from api.serving.connections import Connections
from api.serving.descriptors import most_connections
from api.serving.protocol import PatientProtocol
from workers.settings import Settings

# Uvicorn looks ten times a second whether it is to end; here a signal says so, and this is for the `Date` header.
_TICK_SECONDS = 1.0
# Connections that wait to be accepted. Those that arrive together are all accepted before the first is counted.
_BACKLOG = 128


class StudioServer(uvicorn.Server):
    """uvicorn's server, which sleeps until a signal ends it; what comes after it in the process is then still done."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = asyncio.Event()

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._ending.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._ending.set)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Uvicorn raises the signal again when it has ended, which would keep what comes after from being done."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def configuration(app: Any, settings: Settings, proxies: Collection[str], **options: Any) -> uvicorn.Config:
    """How uvicorn serves `app`. The connections of `proxies`, and of this machine, are bounded in all only."""
    # In front of a Space stands the Hub, at addresses that are nowhere written.
    exempt = ("0.0.0.0/0", "::/0") if settings.space_id is not None else proxies
    connections = Connections(most_connections(settings.connections), settings.address_connections, exempt)
    protocol: Any = partial(PatientProtocol, connections=connections, head_seconds=settings.head_seconds)
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=protocol,
        ws="none",
        backlog=_BACKLOG,
        forwarded_allow_ips=list(proxies),
        **options,
    )
