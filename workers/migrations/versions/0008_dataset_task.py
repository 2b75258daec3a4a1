"""A data set says which task its rows are problems of: the same bytes may be uploaded for several purposes."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("dataset", sa.Column("task", sa.String(), nullable=False, server_default=""))
