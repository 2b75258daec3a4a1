"""The queue: messages that say which run is next. The run store decides whether one still means anything."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huey import SqliteHuey
from huey.consumer import Consumer
from huey.registry import Message
from huey.serializer import Serializer

_BUSY_TIMEOUT_SECONDS = 30
_POLL_SECONDS = 0.2


class JobQueue:
    """First in, first out, in a SQLite file. A message may be lost or come twice; see `RunStore.claim`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._execute: Callable[[str], None] | None = None
        self._huey = SqliteHuey(
            "training",
            filename=str(path),
            timeout=_BUSY_TIMEOUT_SECONDS,
            strict_fifo=True,
            results=False,
            serializer=_JsonSerializer(),
        )
        self._train = self._huey.task(name="train")(self._run)

    def wake(self, job_id: str) -> None:
        self._train(job_id)

    def pending(self) -> list[str]:
        """The ids of the runs whose message nobody has taken yet, the next one first."""
        return [task.args[0] for task in self._huey.pending()]

    def consumer(
        self, execute: Callable[[str], None], *, workers: int = 1, shutdown_timeout: float
    ) -> EmbeddedConsumer:
        """A consumer that calls `execute` with one run id after the other. Not started yet.

        `shutdown_timeout`, in seconds, is how long stopping it waits for `execute` to return.
        """
        self._execute = execute
        return EmbeddedConsumer(
            self._huey,
            workers=workers,
            worker_type="thread",
            periodic=False,
            initial_delay=_POLL_SECONDS,
            max_delay=_POLL_SECONDS,
            shutdown_timeout=shutdown_timeout,
        )

    def close(self) -> None:
        self._huey.storage.close()

    def _run(self, run_id: str) -> None:
        if self._execute is None:
            raise RuntimeError("this queue has no consumer")
        self._execute(run_id)


class EmbeddedConsumer(Consumer):
    """huey's consumer for a process that has a main loop and signal handlers of its own."""

    def start(self) -> None:
        """Start the threads. huey's `run` would do so too, but it fails outside the main thread."""
        super().start()
        threading.Thread(target=self._watch_health, name="consumer-health", daemon=True).start()

    def alive(self) -> bool:
        return not self.stop_flag.is_set() and all(thread.is_alive() for _, thread in self.worker_threads)

    def _set_signal_handlers(self) -> None:
        """The web server handles the signals."""

    def _watch_health(self) -> None:
        while not self.stop_flag.wait(self._health_check_interval):
            self.check_worker_health()


class _JsonSerializer(Serializer):
    """Messages as JSON: huey's own are pickles, so whoever could write to the file could run code here."""

    def _serialize(self, data: Any) -> bytes:
        return json.dumps(data._asdict()).encode()

    def _deserialize(self, data: bytes) -> Any:
        return Message(**json.loads(data))
