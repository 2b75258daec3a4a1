"""What watching, telling and clearing up need: counts by index, an outbox, and when a job's files were removed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("job", sa.Column("files_removed", sa.Float(), nullable=True))
    op.create_index("ix_job_kind_state", "job", ["kind", "state"])
    op.create_index("ix_job_untaken", "job", ["state", "attempt", "created"])
    op.create_table(
        "delivery",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.UniqueConstraint("job_id", "attempt", "event", "target"),
    )
    op.create_index("ix_delivery_settled", "delivery", ["settled"])
