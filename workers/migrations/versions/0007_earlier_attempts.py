"""What a job had before it was queued again, started over or discarded."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    with op.batch_alter_table("job") as job:
        job.add_column(sa.Column("saved_step", sa.Integer(), nullable=True))
        job.add_column(sa.Column("seconds", sa.Float(), nullable=False, server_default="0"))
        job.add_column(sa.Column("first_attempt", sa.Integer(), nullable=False, server_default="1"))
        job.add_column(sa.Column("returns_to", sa.JSON(), nullable=True))
        job.add_column(sa.Column("aside_attempt", sa.Integer(), nullable=True))
        job.add_column(sa.Column("set_aside", sa.JSON(), nullable=True))
        job.create_index("ix_job_aside_attempt", ["aside_attempt"])
    # Which checkpoints older studios left is on their disks. A run that has none begins at step 0 when it is resumed.
    op.execute(
        "UPDATE job SET saved_step = step WHERE step > 0 AND state <> 'finished' AND files_removed IS NULL"
        " AND kind IN ('train', 'evaluate', 'denoise') AND (stop_mode IS NULL OR stop_mode <> 'discard')"
    )
    op.execute("UPDATE job SET seconds = ended - started WHERE ended > started")
