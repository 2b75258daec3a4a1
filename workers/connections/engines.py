"""SQLAlchemy's engines for the store: one for readers, which never wait for a writer, and one for writers."""

from __future__ import annotations

import fcntl
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import URL, Connection, Engine, create_engine, event, text

from gift_core.config.paths import expand_path
from workers.startup.sqlite_files import check_sqlite_file

PATIENCE_SECONDS = 30.0
# A reader waits only while the file of a killed process is put in order, or the pool is empty.
_READER_SECONDS = 5.0
_CONNECT_SECONDS = 10
_IDLE_MILLISECONDS = 5000
# Together more than a web server has threads: 40 for requests, and its worker's. Those kept open are fewer.
_READERS = {"pool_size": 10, "max_overflow": 60, "pool_timeout": _READER_SECONDS}
# A server of PostgreSQL has 100 connections for everybody, if it is left as it comes.
_REMOTE_READERS = {"pool_size": 5, "max_overflow": 25, "pool_timeout": _READER_SECONDS}
# One transaction writes at a time: see `turns`.
_WRITERS = {"pool_size": 1, "max_overflow": 2, "pool_timeout": PATIENCE_SECONDS}
# Any number, the same for all who write.
_WRITER_LOCK = 0x67696674
_DAMAGED = (
    "Put a copy back in its place, such as that of a backup, or name another folder. "
    "`sqlite3 {file} .recover > saved.sql` saves what can still be read. The file is left as it is."
)


class Engines(NamedTuple):
    """`writers` takes the option `patience`: seconds to wait for other processes that write."""

    readers: Engine
    writers: Engine

    def dispose(self) -> None:
        self.readers.dispose()
        self.writers.dispose()


def sqlite_engines(url: URL, field: str) -> Engines:
    """Engines for a file, which is made if it is missing. Raises `ConfigurationError` for one that cannot be used."""
    path = expand_path(url.database or "")
    check_sqlite_file(path, field, "experiment", _DAMAGED)
    _switch_to_wal(path)
    url = url.set(database=str(path))
    readers = create_engine(url, connect_args={"timeout": _READER_SECONDS}, **_READERS)
    event.listen(readers, "connect", _configure_reader)
    event.listen(readers, "begin", _begin)
    writers = create_engine(url, connect_args={"timeout": PATIENCE_SECONDS}, **_WRITERS)
    event.listen(writers, "connect", _configure)
    event.listen(writers, "begin", _begin_writing)
    return Engines(readers, writers)


def postgres_engines(url: URL) -> Engines:
    # `postgresql://` is what people write; the driver is ours to choose.
    url = url.set(drivername="postgresql+psycopg")
    # A process that stands still in the middle of a write would keep everybody from writing: the server cuts it off.
    limits = {"idle_in_transaction_session_timeout": _IDLE_MILLISECONDS, "lock_timeout": int(1000 * PATIENCE_SECONDS)}
    options = " ".join(f"-c {name}={value}" for name, value in limits.items())
    arguments = {"options": options, "connect_timeout": _CONNECT_SECONDS}
    readers = create_engine(url, pool_pre_ping=True, connect_args=arguments, **_REMOTE_READERS)
    writers = create_engine(url, pool_pre_ping=True, connect_args=arguments, **_WRITERS)
    event.listen(writers, "begin", _take_turn)
    return Engines(readers, writers)


def _switch_to_wal(path: Path) -> None:
    with path.with_suffix(".lock").open("w") as lock:
        # The switch to WAL fails when two processes attempt it at once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        with closing(sqlite3.connect(path, timeout=PATIENCE_SECONDS)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")


def _configure(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # The driver would begin transactions of its own; `_begin` does.
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=NORMAL")


def _configure_reader(connection: Any, record: object) -> None:
    _configure(connection, record)
    # So that no reader can come to need the lock of the writers.
    connection.execute("PRAGMA query_only=ON")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_writing(connection: Connection) -> None:
    connection.exec_driver_sql(f"PRAGMA busy_timeout={_milliseconds(connection)}")
    # A transaction that reads and then writes fails at once, without waiting, when another one wrote in between. So
    # every writer takes the write lock when it begins.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _take_turn(connection: Connection) -> None:
    milliseconds = _milliseconds(connection)
    if milliseconds != int(1000 * PATIENCE_SECONDS):
        # PostgreSQL takes 0 for no limit.
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {max(1, milliseconds)}")
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _WRITER_LOCK})


def _milliseconds(connection: Connection) -> int:
    return int(1000 * connection.get_execution_options().get("patience", PATIENCE_SECONDS))
