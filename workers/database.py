"""The database behind the stores: SQLite in one file by default, PostgreSQL where the studio has outgrown it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, make_url, text
from sqlmodel import Session

from workers.connections.beside import Beside
from workers.connections.engines import PATIENCE_SECONDS, postgres_engines, sqlite_engines
from workers.connections.errors import DRIVER_ERRORS, StoreUnavailable, field_of, meaning_of
from workers.connections.turns import WritersTurn
from workers.locations import check_store_url, without_secrets
from workers.migrations import SchemaError, bring_up_to_date
from workers.settings import ConfigurationError

__all__ = ["Database", "StoreUnavailable"]


class Database:
    """Sessions on one database. One transaction writes at a time, so numbers that grow are seen in their order.

    Reading never waits for a writer. Records come back detached: reading their fields needs no session, and changing
    them changes nothing here.
    """

    def __init__(self, url: str | URL) -> None:
        """Raises `LocationError` for a URL of another kind, `ConfigurationError` for a database that cannot be used,
        and `StoreUnavailable`."""
        self._url = url if isinstance(url, URL) else make_url(check_store_url(url))
        self._looking: Any = None
        self._one_looks = threading.Lock()
        self._turn = WritersTurn()
        # What is best effort, and what no request waits for.
        self.beside = Beside(self.write)
        sqlite = self._url.get_backend_name() == "sqlite"
        self._field = field_of(url)
        self._engines = sqlite_engines(self._url, self._field) if sqlite else postgres_engines(self._url)
        with self._reached(), self._engines.writers.connect() as connection:
            # Not one for others to use afterwards.
            connection.detach()
            if sqlite:
                _let_tables_be_replaced(connection)
            with connection.begin(), _named(self._url, self._field):
                bring_up_to_date(connection)

    @classmethod
    def in_file(cls, path: Path) -> Database:
        """The SQLite file, made where there is none."""
        return cls(URL.create("sqlite", database=str(path)))

    def close(self) -> None:
        self.beside.close()
        if self._looking is not None:
            self._looking.close()
        self._engines.dispose()

    def ping(self) -> None:
        """Raises `StoreUnavailable` unless the database answers."""
        with self.read() as session:
            session.connection().execute(text("SELECT 1"))

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that cannot change anything. Raises `StoreUnavailable`."""
        with self._reached(), Session(self._engines.readers, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self, patience: float = PATIENCE_SECONDS) -> Iterator[Session]:
        """A transaction that is committed at the end, or rolled back by an error.

        Raises `StoreBusy` if others write for longer than `patience`, in seconds, and `StoreUnavailable`.
        """
        with self._reached(), self._turn.held(patience):
            writers = self._engines.writers.execution_options(patience=patience)
            with Session(writers, expire_on_commit=False) as session, session.begin():
                yield session

    def sign(self) -> str:
        """A text that is another one whenever something was committed in between; no row is read for it.

        Two texts of the same `Database` can be compared. Raises `StoreUnavailable`.
        """
        with self._reached(), self._one_looks:
            if self._url.get_backend_name() == "sqlite":
                # Counted for each connection, so this takes one that nothing else uses.
                self._looking = self._looking or self._engines.readers.raw_connection()
                return str(self._looking.driver_connection.execute("PRAGMA data_version").fetchone()[0])
            with self._engines.readers.connect() as connection:
                # Which transactions are over: one that commits goes off this list.
                return str(connection.execute(text("SELECT pg_current_snapshot()::text")).scalar_one())

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except DRIVER_ERRORS as error:
            meaning = meaning_of(error, self._url, self._field)
            if meaning is None:
                raise
            raise meaning from error


@contextmanager
def _named(url: URL, field: str) -> Iterator[None]:
    """Say which database it is that cannot be brought up to date. Raises `ConfigurationError`."""
    try:
        yield
    except SchemaError as error:
        shown = without_secrets(url.render_as_string())
        raise ConfigurationError(f"The store at {shown} {error}.", field=field, remedy=error.remedy) from None


def _let_tables_be_replaced(connection: Connection) -> None:
    # A table is changed by filling a new one and dropping the old one, to which rows of other tables refer. That can be
    # allowed only before a transaction begins.
    driver: Any = connection.connection.dbapi_connection
    driver.execute("PRAGMA foreign_keys=OFF")
