"""What a data set holds is kept beside it: a summary in numbers, and the fingerprint of its examples."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("dataset", sa.Column("summary", sa.JSON(), nullable=True))
    op.add_column("dataset", sa.Column("fingerprint", sa.String(), nullable=False, server_default=""))
