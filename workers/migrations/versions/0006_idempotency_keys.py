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
        own = "created_by || ':' || idempotency_key"
        op.execute(
            f"INSERT INTO idempotency_key (key, fingerprint, made, created) SELECT {own}, '', id, created"  # noqa: S608
            f" FROM {table} WHERE idempotency_key IS NOT NULL AND {own} NOT IN (SELECT key FROM idempotency_key)"
        )
    with op.batch_alter_table("experiment") as experiment:
        experiment.drop_column("idempotency_key")
        experiment.drop_column("request_fingerprint")
    with op.batch_alter_table("job") as job:
        job.drop_column("idempotency_key")
    _say_whose_token()


def _say_whose_token() -> None:
    """Nobody knows whether an upload of before came with a token: none of them gets the studio's."""
    connection = op.get_bind()
    jobs = sa.table("job", sa.column("id", sa.String()), sa.column("kind", sa.String()), sa.column("spec", sa.JSON()))
    for identity, spec in connection.execute(sa.select(jobs.c.id, jobs.c.spec).where(jobs.c.kind == "push")).all():
        if "own_token" not in spec:
            connection.execute(jobs.update().where(jobs.c.id == identity).values(spec={**spec, "own_token": True}))
