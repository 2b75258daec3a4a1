"""The database behind the stores: SQLite in one file by default, PostgreSQL where the studio has outgrown it."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError
from sqlmodel import Session

from gift_core.config.paths import expand_path
from workers.locations import ServiceUnavailable, check_store_url, without_secrets
from workers.migrations import SchemaError, bring_up_to_date
from workers.settings import DATA_DIR, STORE_URL, ConfigurationError
from workers.startup.sqlite_files import check_sqlite_file

_BUSY_TIMEOUT_SECONDS = 30
_IDLE_MILLISECONDS = 5000
# Any number, the same for all who write.
_WRITER_LOCK = 0x67696674
_DAMAGED = "Put a copy back in its place, or name another folder. `sqlite3 FILE .recover` saves what can be read."


class StoreUnavailable(ServiceUnavailable):
    """The database does not answer. What was committed is kept; a transaction under way may or may not have been."""

    code = "store_unavailable"


class Database:
    """Sessions on one database. One transaction writes at a time, so numbers that grow are seen in their order.

    Records come back detached: reading their fields needs no session, and changing them changes nothing here.
    """

    def __init__(self, url: str | URL) -> None:
        """Raises `LocationError` for a URL of another kind, `ConfigurationError` for a database that cannot be used,
        and `StoreUnavailable`."""
        self._url = url if isinstance(url, URL) else make_url(check_store_url(url))
        self._looking: Any = None
        sqlite = self._url.get_backend_name() == "sqlite"
        self._engine, self._writer = _sqlite(self._url, _field_of(url)) if sqlite else _postgres(self._url)
        with self._reached(), self._writer.connect() as connection:
            # Not one for others to use afterwards.
            connection.detach()
            if sqlite:
                _let_tables_be_replaced(connection)
            with connection.begin(), _named(self._url, _field_of(url)):
                bring_up_to_date(connection)

    @classmethod
    def in_file(cls, path: Path) -> Database:
        """The SQLite file, made where there is none."""
        return cls(URL.create("sqlite", database=str(path)))

    def close(self) -> None:
        if self._looking is not None:
            self._looking.close()
        self._engine.dispose()

    def ping(self) -> None:
        """Raises `StoreUnavailable` unless the database answers."""
        with self.read() as session:
            session.connection().execute(text("SELECT 1"))

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Raises `StoreUnavailable`."""
        with self._reached(), Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that is committed at the end, or rolled back by an error. Raises `StoreUnavailable`."""
        with self._reached(), Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def sign(self) -> str:
        """A text that is another one whenever something was committed in between; no row is read for it.

        For one thread at a time, always of the same `Database`. Raises `StoreUnavailable`.
        """
        with self._reached():
            if self._url.get_backend_name() == "sqlite":
                # Counted for each connection, so this takes one that nothing else uses.
                self._looking = self._looking or self._engine.raw_connection()
                return str(self._looking.driver_connection.execute("PRAGMA data_version").fetchone()[0])
            with self._engine.connect() as connection:
                # Which transactions are over: one that commits goes off this list.
                return str(connection.execute(text("SELECT pg_current_snapshot()::text")).scalar_one())

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError) as error:
            raise self._unavailable(error, "does not answer") from error
        except DatabaseError as error:
            if type(error.orig) is not sqlite3.DatabaseError:
                raise
            raise self._unavailable(error, "is damaged") from error

    def _unavailable(self, error: DBAPIError, what: str) -> StoreUnavailable:
        shown = without_secrets(self._url.render_as_string())
        if self._url.get_backend_name() == "sqlite":
            # What SQLite says holds nothing of the rows.
            return StoreUnavailable(
                f"The store at {shown} cannot be used: {error.orig}.",
                field=_field_of(self._url),
                remedy="Make room on its disk, and check who may write to it; then try again.",
            )
        return StoreUnavailable(
            f"The store at {shown} {what} ({type(error.orig or error).__name__}).",
            field=STORE_URL,
            remedy="Start its server, make room on its disk, or correct the URL; then try again.",
        )


def _field_of(url: str | URL) -> str:
    """The setting that says where the store is: a whole URL, or the folder that a file lies in."""
    return STORE_URL if isinstance(url, str) else DATA_DIR


@contextmanager
def _named(url: URL, field: str) -> Iterator[None]:
    """Say which database it is that cannot be brought up to date. Raises `ConfigurationError`."""
    try:
        yield
    except SchemaError as error:
        shown = without_secrets(url.render_as_string())
        raise ConfigurationError(f"The store at {shown} {error}.", field=field, remedy=error.remedy) from None


def _sqlite(url: URL, field: str) -> tuple[Engine, Engine]:
    path = expand_path(url.database or "")
    check_sqlite_file(path, field, "experiment", _DAMAGED)
    url = url.set(database=str(path))
    engine = create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_SECONDS})
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    with path.with_suffix(".lock").open("w") as lock:
        # The switch to WAL fails when two processes attempt it at once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        with closing(sqlite3.connect(path, timeout=_BUSY_TIMEOUT_SECONDS)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    # A transaction that reads and then writes fails at once, without waiting, when another one wrote in between. So
    # every writer takes the write lock when it begins.
    return engine, engine.execution_options(begin="BEGIN IMMEDIATE")


def _postgres(url: URL) -> tuple[Engine, Engine]:
    # `postgresql://` is what people write; the driver is ours to choose.
    # A process that stands still in the middle of a write would keep everybody from writing: the server cuts it off.
    options = {"options": f"-c idle_in_transaction_session_timeout={_IDLE_MILLISECONDS}"}
    engine = create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True, connect_args=options)
    event.listen(engine, "begin", _take_turn)
    return engine, engine.execution_options(writes=True)


def _configure(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # The driver would begin transactions of its own; `_begin` does.
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=NORMAL")


def _let_tables_be_replaced(connection: Connection) -> None:
    # A table is changed by filling a new one and dropping the old one, to which rows of other tables refer. That can be
    # allowed only before a transaction begins.
    driver: Any = connection.connection.dbapi_connection
    driver.execute("PRAGMA foreign_keys=OFF")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def _take_turn(connection: Connection) -> None:
    if connection.get_execution_options().get("writes"):
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _WRITER_LOCK})
