"""What watching and clearing up need: counts by index, and when a job's files were removed."""

import sqlalchemy as sa
from alembic import op

revision = "0301"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("job", sa.Column("files_removed", sa.Float(), nullable=True))
    op.create_index("ix_job_kind_state", "job", ["kind", "state"])
    op.create_index("ix_job_untaken", "job", ["state", "attempt", "created"])
