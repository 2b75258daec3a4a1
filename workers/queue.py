"""The queue: messages that wake a worker. The store decides which job is next, and whether a message means anything."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from huey import PostgresHuey, PriorityRedisExpireHuey, SqliteHuey
from huey.api import Huey
from huey.consumer import Consumer, Worker
from huey.registry import Message
from huey.serializer import Serializer
from redis import ConnectionPool, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import make_url

from gift_core.config.paths import expand_path
from workers.locations import ServiceUnavailable, check_queue_url, without_secrets
from workers.settings import DATA_DIR, QUEUE_URL
from workers.startup.data_folder import check_folder
from workers.startup.files import check_file
from workers.startup.sqlite_files import DamagedFile, alone_with, check_sqlite_file, set_aside

logger = logging.getLogger(__name__)

_BUSY_TIMEOUT_SECONDS = 30
_POLL_SECONDS = 0.2
# Where a job is announced by the process that carries it out, which needs no look: others announce only what was lost.
_LOOK_SECONDS = 1.0
# While a server is away: how long to wait for a connection, and at most between two attempts of a worker.
_CONNECT_SECONDS = 3
_LONGEST_PAUSE_SECONDS = 3.0
# Longer than the second for which a worker waits at the server for its next message.
_ANSWER_SECONDS = 5
# Any number, the same for all who make the tables.
_TABLES_LOCK = 0x71756575
_DAMAGED = (
    "Move the file away (`mv {file} {file}.damaged`): the store has every job that waits, and it is announced again."
)
_FAILURES = (RedisError, psycopg.Error, sqlite3.Error, OSError)

T = TypeVar("T")


class QueueUnavailable(ServiceUnavailable):
    """The queue's server does not answer. Nothing is lost: jobs are in the store, and are announced again."""

    code = "queue_unavailable"


class JobQueue:
    """First in, first out. A message may be lost or come twice, so it only says that there is something to do."""

    def __init__(self, location: str | Path, name: str = "jobs") -> None:
        """In a file, or at a `sqlite://`, `redis://`, `rediss://` or `postgresql://` URL; `name` is its own there.

        Raises `LocationError` for any other URL, `ConfigurationError` for a file that cannot be used, and
        `QueueUnavailable` when PostgreSQL, which needs tables, is away.
        """
        self._huey, self._shown = _open(location, name)
        self._bell = Bell()
        self._execute: Callable[[str], None] | None = None
        self._message = self._huey.task(name="wake")(self._run)

    def wake(self, job_id: str) -> None:
        """Announce a job to whichever worker is free first. Raises `QueueUnavailable`."""
        self._ask(lambda: self._message(job_id))
        self._bell.ring()

    def pending(self) -> list[str]:
        """The ids in the messages that nobody has taken yet, the next one first. Raises `QueueUnavailable`."""
        return [task.args[0] for task in self._ask(self._huey.pending)]

    def is_empty(self) -> bool:
        """Whether every message was taken. Raises `QueueUnavailable`."""
        return not self._ask(self._huey.pending_count)

    def clear(self) -> None:
        """Drop all messages. Raises `QueueUnavailable`."""
        self._ask(self._huey.storage.flush_queue)

    def ping(self) -> None:
        """Raises `QueueUnavailable` unless the queue answers."""
        self._ask(self._huey.pending_count)

    def consumer(
        self,
        execute: Callable[[str], None],
        *,
        workers: int = 1,
        shutdown_timeout: float,
        announced_here: bool = False,
    ) -> EmbeddedConsumer:
        """A consumer of `workers` threads, each of which calls `execute` with one job's id after the other.

        Not started yet. `shutdown_timeout`, in seconds, is how long stopping it waits for `execute` to return. While
        the queue's server is away the threads try again, every three seconds at most. `announced_here`: jobs are
        announced in this process, so a file need not be looked at as often.
        """
        self._execute = execute
        # A server holds a worker's question until there is an answer; a file has to be looked at.
        waits = self._huey.storage.blocking
        look = _LOOK_SECONDS if announced_here else _POLL_SECONDS
        return EmbeddedConsumer(
            self._huey,
            bell=self._bell,
            workers=workers,
            worker_type="thread",
            periodic=False,
            scheduler_interval=60,
            initial_delay=_POLL_SECONDS,
            backoff=2,
            max_delay=_LONGEST_PAUSE_SECONDS if waits else look,
            shutdown_timeout=shutdown_timeout,
        )

    def close(self) -> None:
        storage = self._huey.storage
        storage.close()
        if isinstance(self._huey, PriorityRedisExpireHuey):
            storage.pool.disconnect()

    def _run(self, job_id: str) -> None:
        if self._execute is None:
            raise RuntimeError("this queue has no consumer")
        self._execute(job_id)

    def _ask(self, question: Callable[[], T]) -> T:
        try:
            try:
                return question()
            except _FAILURES:
                # A connection from before the server was restarted fails once; the next one is new.
                return question()
        except _FAILURES as error:
            raise _unavailable(self._shown, error) from None


class Bell:
    """Wakes threads of this process that wait for a message."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self.rung = 0

    def ring(self) -> None:
        with self._condition:
            self.rung += 1
            self._condition.notify_all()

    def wait(self, heard: int, seconds: float) -> None:
        """Wait until it has rung more than `heard` times, for at most `seconds`."""
        with self._condition:
            self._condition.wait_for(lambda: self.rung > heard, seconds)


class _Listener(Worker):
    """huey's thread, which looks again at once when the bell rings."""

    bell: Bell
    delay: float
    _heard = 0

    def loop(self, now: Any = None) -> None:
        # Before it looks: what is announced while it looks is heard as well.
        self._heard = self.bell.rung
        super().loop(now)

    def sleep(self) -> None:
        self.delay = min(self.delay, self.max_delay)
        if not self.stop_flag.is_set():
            self.bell.wait(self._heard, self.delay)
        self.delay *= self.backoff


class EmbeddedConsumer(Consumer):
    """huey's consumer for a process that has a main loop and signal handlers of its own."""

    worker_class = _Listener

    def __init__(self, huey: Huey, *, bell: Bell, **options: Any) -> None:
        self._bell = bell
        super().__init__(huey, **options)

    def stop(self, graceful: bool = False) -> None:
        self.stop_flag.set()
        self._bell.ring()
        super().stop(graceful=graceful)

    def _create_worker(self) -> Worker:
        worker = super()._create_worker()
        worker.bell = self._bell
        return worker

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


def _open(location: str | Path, name: str) -> tuple[Huey, str]:
    """The queue, and how its place may be shown."""
    if isinstance(location, Path):
        return _in_own_file(location, name), str(location)
    shown = without_secrets(check_queue_url(location))
    scheme = location.partition("://")[0]
    if scheme == "sqlite":
        return _in_file(expand_path(make_url(location).database or ""), name, QUEUE_URL), shown
    if scheme == "postgresql":
        return _in_postgres(location, name, shown), shown
    return _in_redis(location, name), shown


def _in_own_file(path: Path, name: str) -> Huey:
    """The queue in the data folder. It holds nothing that the store does not, so a damaged file is no reason to stop:
    it is set aside, and a new one is made."""
    check_file(path.with_suffix(".lock"), DATA_DIR)
    check_folder(path.parent, DATA_DIR)
    # Two processes that start at once would set aside each other's new file.
    with alone_with(path):
        try:
            huey = _in_file(path, name, DATA_DIR)
            huey.pending_count()
            return huey
        except (DamagedFile, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.OperationalError) and not str(error).startswith("no such"):
                # It is locked, or its disk is full: that says nothing about what is in it.
                raise _unavailable(str(path), error) from None
            logger.warning(
                "%s was damaged and is set aside as %s; a new one is made. Jobs that wait are in the store, and are "
                "announced again.",
                path,
                set_aside(path).name,
            )
        return _in_file(path, name, DATA_DIR)


def _in_file(path: Path, name: str, field: str) -> Huey:
    check_sqlite_file(path, field, "task", _DAMAGED)
    return SqliteHuey(
        name,
        filename=str(path),
        timeout=_BUSY_TIMEOUT_SECONDS,
        strict_fifo=True,
        results=False,
        serializer=_JsonSerializer(),
    )


def _in_redis(url: str, name: str) -> Huey:
    pool = ConnectionPool.from_url(
        url,
        socket_connect_timeout=_CONNECT_SECONDS,
        socket_timeout=_ANSWER_SECONDS,
        # Who asks is not kept waiting, and a worker has a pause of its own.
        retry=Retry(NoBackoff(), 0),
    )
    return PriorityRedisExpireHuey(name, connection_pool=pool, results=False, serializer=_JsonSerializer())


def _in_postgres(url: str, name: str, shown: str) -> Huey:
    huey = PostgresHuey(
        name,
        dsn=url,
        connect_timeout=_CONNECT_SECONDS,
        create_tables=False,
        results=False,
        serializer=_JsonSerializer(),
    )
    try:
        with closing(psycopg.connect(url, connect_timeout=_CONNECT_SECONDS)) as connection, connection.transaction():
            # Two processes that create a table at once fail, in spite of `if not exists`.
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_TABLES_LOCK])
            for statement in huey.storage.ddl:
                connection.execute(statement)
    except psycopg.Error as error:
        raise _unavailable(shown, error) from None
    return huey


def _unavailable(shown: str, error: Exception) -> QueueUnavailable:
    # Only the kind of error: what a driver says may quote what it was given.
    return QueueUnavailable(
        f"The queue at {shown} does not answer ({type(error).__name__}).",
        field=QUEUE_URL,
        remedy="Start its server, or correct the URL; queued jobs are kept and go on then.",
    )


class _JsonSerializer(Serializer):
    """Messages as JSON: huey's own are pickles, so whoever could write to the queue could run code here."""

    def _serialize(self, data: Any) -> bytes:
        return json.dumps(data._asdict()).encode()

    def _deserialize(self, data: bytes) -> Any:
        return Message(**json.loads(data))
