"""The backend as a process of its own, behind uvicorn, which can be killed and started again at the same address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx
import uvicorn

from api.app import create_api
from tests import forked
from tests.services import bound, wait_until
from workers.settings import Settings
from workers.studio import Studio

_HOST = "127.0.0.1"


class ServerProcess:
    """A web server without a worker, over a data folder. Starts when it is made."""

    def __init__(self, data: Path) -> None:
        self._data = data
        # Never listened at, also while the server is away.
        self._kept = bound(0)
        self._port: int = self._kept.getsockname()[1]
        self.url = f"http://{_HOST}:{self._port}"
        self.start()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process: BaseProcess = forked.start(_serve, self._data, self._port)
        wait_until(self._answers, lambda: f"the server does not answer (exit status {self._process.exitcode})")

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.join()

    def close(self) -> None:
        self.kill()
        self._kept.close()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=10, trust_env=False).is_success
        except httpx.TransportError:
            return False


@contextmanager
def server_process(data: Path) -> Iterator[ServerProcess]:
    """A server until the block ends."""
    server = ServerProcess(data)
    try:
        yield server
    finally:
        server.close()


def _serve(data: Path, port: int) -> None:
    # A lab's worth of requests from one address.
    often = 1_000_000
    settings = Settings(data_dir=data, embedded_worker=False, requests_per_minute=often, changes_per_minute=often)
    studio = Studio(settings)
    listener = bound(port)
    listener.listen()
    uvicorn.Server(uvicorn.Config(create_api(studio), log_level="critical")).run(sockets=[listener])
