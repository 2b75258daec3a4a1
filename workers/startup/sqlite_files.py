"""SQLite files: whether one can be used, before anything is written to it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from workers.settings import ConfigurationError
from workers.startup.data_folder import check_folder

# Of a queue, in SQLite and in PostgreSQL; it may share a database with the store.
QUEUE_TABLES = frozenset(
    f"{prefix}{name}" for prefix in ("", "huey_") for name in ("kv", "schedule", "task", "counter")
)
_WAIT_SECONDS = 30
# Reading a file of this size takes about a second; a larger one is checked only where it is read.
_LARGEST_CHECKED = 2**30


def check_sqlite_file(path: Path, field: str, marker: str, remedy: str) -> None:
    """Raise `ConfigurationError` for a file that is damaged, cannot be read, or holds tables of another program.

    `field` is the setting that names the file, `marker` a table that ours always has, `remedy` what to do about a
    damaged one. A missing file can be made, and so can its folder.
    """
    check_folder(path.parent, field)
    check_writable(path, field)
    check_writable(path.with_suffix(".lock"), field)
    if not path.exists() or (path.is_file() and path.stat().st_size == 0):
        return
    try:
        with closing(sqlite3.connect(path, timeout=_WAIT_SECONDS)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if path.stat().st_size <= _LARGEST_CHECKED:
                _check_pages(connection)
    except sqlite3.OperationalError as error:
        raise ConfigurationError(
            f"{path} cannot be used: {error}.", field=field, remedy="Check what it is, and who may write to it."
        ) from None
    except sqlite3.DatabaseError as error:
        raise ConfigurationError(f"{path} is damaged: {error}.", field=field, remedy=remedy) from None
    if is_foreign(tables, marker):
        raise ConfigurationError(
            f"{path} holds the tables of another program.", field=field, remedy="Name another folder or file."
        )


def check_writable(path: Path, field: str) -> None:
    """Raise `ConfigurationError` for a file that is there and may only be read."""
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        user = os.geteuid()
        raise ConfigurationError(
            f"{path} cannot be written to by user {user}.",
            field=field,
            remedy=f"Give it to this user (`chown {user} {path}`), or name another folder.",
        )


def is_foreign(tables: Collection[str], marker: str) -> bool:
    """Whether a database is another program's: it has tables, and none of ours."""
    others = {name for name in tables if not name.startswith("sqlite_")} - QUEUE_TABLES
    return bool(others) and marker not in tables and "experiment" not in others


def _check_pages(connection: sqlite3.Connection) -> None:
    said = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if said != "ok":
        raise sqlite3.DatabaseError(str(said).splitlines()[-1].removeprefix("*** ").strip().rstrip("."))
