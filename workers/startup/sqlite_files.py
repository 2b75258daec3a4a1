"""SQLite files: whether one can be used, before anything is written to it."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from workers.settings import ConfigurationError
from workers.startup.data_folder import check_folder
from workers.startup.files import check_file, named_by_shell

# Of a queue, in SQLite and in PostgreSQL; it may share a database with the store.
QUEUE_TABLES = frozenset(
    f"{prefix}{name}" for prefix in ("", "huey_") for name in ("kv", "schedule", "task", "counter")
)
_WAIT_SECONDS = 30
_FIRST_BYTES = b"SQLite format 3\0"
# What SQLite keeps beside a file that is in use, or was when its process was killed.
_COMPANIONS = ("-wal", "-shm", "-journal")
# Reading a file of this size takes about a second; a larger one is checked only where it is read.
_LARGEST_CHECKED = 2**30


class DamagedFile(ConfigurationError):  # noqa: N818
    """A file is not what was written to it."""


def check_sqlite_file(path: Path, field: str, marker: str, remedy: str) -> None:
    """Raise `ConfigurationError` for a file that is damaged, cannot be read, or holds tables of another program.

    `field` is the setting that names the file, `marker` a table that ours always has, `remedy` what to do about a
    damaged one, `{file}` in it standing for its path. A missing file can be made, and so can its folder.
    """
    check_folder(path.parent, field)
    for each in (path, path.with_suffix(".lock"), *(path.with_name(path.name + suffix) for suffix in _COMPANIONS)):
        check_file(each, field)
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        tables = _tables_of(path)
    except sqlite3.OperationalError as error:
        raise ConfigurationError(
            f"{path} cannot be used: {error}.", field=field, remedy="Check what it is, and who may write to it."
        ) from None
    except sqlite3.DatabaseError as error:
        raise DamagedFile(
            f"{path} is damaged: {error}.", field=field, remedy=remedy.format(file=named_by_shell(path))
        ) from None
    if is_foreign(tables, marker):
        raise ConfigurationError(
            f"{path} holds the tables of another program.", field=field, remedy="Name another folder or file."
        )


def set_aside(path: Path) -> Path:
    """Rename a SQLite file, with what it has not taken in yet, so that a new one can be made. Returns its new place."""
    place = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}Z")
    for suffix in ("", *_COMPANIONS):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(place.with_name(place.name + suffix))
    return place


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Keep other processes of the studio from opening or replacing a SQLite file until the block ends."""
    with path.with_suffix(".lock").open("w") as lock:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_foreign(tables: Collection[str], marker: str) -> bool:
    """Whether a database is another program's: it has tables, and none of ours."""
    others = {name for name in tables if not name.startswith("sqlite_")} - QUEUE_TABLES
    return bool(others) and marker not in tables and "experiment" not in others


def _tables_of(path: Path) -> set[str]:
    """The names of the tables of a whole file. Raises `sqlite3.Error` for one that is damaged.

    Nothing is written: on opening such a file SQLite would remove what it has not taken in yet from the file beside it.
    """
    with path.open("rb") as file:
        if file.read(len(_FIRST_BYTES)) != _FIRST_BYTES:
            raise sqlite3.DatabaseError("file is not a database")
    try:
        return _read(f"{path.absolute().as_uri()}?mode=ro", path)
    except sqlite3.OperationalError as error:
        if "readonly" not in str(error):
            raise
        # What a killed process has left has to be undone first.
        return _read(path.absolute().as_uri(), path)


def _read(uri: str, path: Path) -> set[str]:
    with closing(sqlite3.connect(uri, timeout=_WAIT_SECONDS, uri=True)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if path.stat().st_size <= _LARGEST_CHECKED:
            _check_pages(connection)
    return tables


def _check_pages(connection: sqlite3.Connection) -> None:
    said = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if said != "ok":
        raise sqlite3.DatabaseError(str(said).splitlines()[-1].removeprefix("*** ").strip().rstrip("."))
