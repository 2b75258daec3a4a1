"""Sessions can be listed and ended, and end with the secret that they were begun with; refusals are counted."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("api_key", sa.Column("secret_mark", sa.String(), nullable=True))
    # Of a session that was begun with the password nothing says which password that was: it ends here.
    op.execute("DELETE FROM browser_session WHERE key_prefix IS NULL AND account_id = 'local'")
    for column in (
        sa.Column("id", sa.String(), nullable=True),
        sa.Column("means", sa.String(), nullable=True),
        sa.Column("secret_mark", sa.String(), nullable=True),
        sa.Column("ended", sa.Float(), nullable=True),
        sa.Column("last_used", sa.Float(), nullable=True),
        sa.Column("address", sa.String(), nullable=True),
        sa.Column("browser", sa.String(), nullable=True),
    ):
        op.add_column("browser_session", column)
    # A piece of a digest says nothing about the token that it is of.
    op.execute("UPDATE browser_session SET id = substr(digest, 1, 10), last_used = created, address = '', browser = ''")
    op.execute("UPDATE browser_session SET means = CASE WHEN key_prefix IS NULL THEN 'hub' ELSE 'key' END")
    with op.batch_alter_table("browser_session") as table:
        for name in ("id", "means", "address", "browser"):
            table.alter_column(name, existing_type=sa.String(), nullable=False)
        table.alter_column("last_used", existing_type=sa.Float(), nullable=False)
        table.create_unique_constraint("uq_browser_session_id", ["id"])
    op.add_column("audit_entry", sa.Column("count", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("audit_entry", sa.Column("last", sa.Float(), nullable=True))
    op.add_column("audit_entry", sa.Column("refusal", sa.String(), nullable=True))
    with op.batch_alter_table("audit_entry") as table:
        table.alter_column("count", existing_type=sa.Integer(), nullable=False, server_default=None)
        table.create_unique_constraint("uq_audit_entry_refusal", ["refusal"])
