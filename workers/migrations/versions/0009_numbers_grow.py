"""Numbers of points and transitions are given once: SQLite gives those of removed rows again unless told otherwise."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        # Sequences of PostgreSQL only ever grow.
        return
    for table in ("metric_point", "transition"):
        with op.batch_alter_table(table, recreate="always", table_kwargs={"sqlite_autoincrement": True}):
            pass
