"""The schema and how older ones become it.

`workers.records` and `workers.account_records` say what it is now, `versions` how it got there.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, inspect
from sqlmodel import SQLModel

# So that all tables are known, whoever opens the database.
from workers import account_records, outbox, records  # noqa: F401
from workers.startup.sqlite_files import QUEUE_TABLES, is_foreign

_BASELINE = "0001"
# The oldest table, which every version has.
_MARKER = "experiment"


class SchemaError(Exception):
    """The tables of a database are not those of a studio of this version or an older one; `remedy` says what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def bring_up_to_date(connection: Connection) -> None:
    """Create the tables, or change those of an older studio into today's. Nothing is lost: it goes forward only.

    Raises `SchemaError`, and then leaves the database as it was.
    """
    config = _config(connection)
    tables = set(inspect(connection).get_table_names()) - QUEUE_TABLES
    if is_foreign(tables, _MARKER):
        raise SchemaError("holds the tables of another program", "Name another database: an empty one is enough.")
    if not tables:
        # The same as all versions one after the other, which a test compares, in a tenth of the time.
        SQLModel.metadata.create_all(connection)
        command.stamp(config, "head")
        return
    if "alembic_version" not in tables:
        # Of a studio from before there were versions.
        command.stamp(config, _BASELINE)
    try:
        command.upgrade(config, "head")
    except CommandError:
        raise SchemaError("was written by a newer version of the studio", "Update this one.") from None
    if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        # It was not asked to look while tables were replaced.
        raise SchemaError(
            "contradicts itself, and was left as it was: rows refer to others that are missing",
            "Put a copy back in its place, or name another database.",
        )


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config
