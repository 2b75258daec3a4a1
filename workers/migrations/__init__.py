"""The schema and how older ones become it.

`workers.records` and `workers.account_records` say what it is now, `versions` how it got there.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect
from sqlmodel import SQLModel

# So that all tables are known, whoever opens the database.
from workers import account_records, outbox, records  # noqa: F401

_BASELINE = "0001"


def bring_up_to_date(connection: Connection) -> None:
    """Create the tables, or change those of an older studio into today's. Nothing is lost: it goes forward only."""
    config = _config(connection)
    tables = set(inspect(connection).get_table_names())
    if not tables:
        # The same as all versions one after the other, which a test compares, in a tenth of the time.
        SQLModel.metadata.create_all(connection)
        command.stamp(config, "head")
        return
    if "alembic_version" not in tables:
        # Of a studio from before there were versions.
        command.stamp(config, _BASELINE)
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        # It was not asked to look while tables were replaced.
        raise RuntimeError("rows refer to others that are not there; the database was left as it was")


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config
