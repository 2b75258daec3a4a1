"""Idempotency keys in a table of their own: every request that creates something may have one."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "idempotency_key",
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("made", sa.String(), nullable=True),
        sa.Column("created", sa.Float(), nullable=False),
    )
    op.create_index("ix_idempotency_key_created", "idempotency_key", ["created"])
    # A request that is repeated after the update still finds what it has made.
    for table in ("experiment", "job"):
        op.execute(
            "INSERT INTO idempotency_key (key, fingerprint, made, created)"  # noqa: S608
            f" SELECT idempotency_key, '', id, created FROM {table} WHERE idempotency_key IS NOT NULL"
            " AND idempotency_key NOT IN (SELECT key FROM idempotency_key)"
        )
    with op.batch_alter_table("experiment") as experiment:
        experiment.drop_column("idempotency_key")
        experiment.drop_column("request_fingerprint")
    with op.batch_alter_table("job") as job:
        job.drop_column("idempotency_key")
