"""An account remembers whether an admin gave it its role, or the rule for people who sign in with the Hub."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("account", sa.Column("role_is_set", sa.Boolean(), nullable=False, server_default=sa.false()))
    # Of the accounts there are it is not known, and none of them loses its role.
    op.execute(sa.text("UPDATE account SET role_is_set = :yes WHERE source = 'hub'").bindparams(yes=True))
    with op.batch_alter_table("account") as table:
        table.alter_column("role_is_set", existing_type=sa.Boolean(), nullable=False, server_default=None)
