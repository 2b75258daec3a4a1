"""Runs become jobs: one table for everything that is computed; evaluations come into it as they are asked for again."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_CURSOR = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("experiment") as experiment:
        experiment.add_column(sa.Column("created_by", sa.String(), nullable=False, server_default=""))
        experiment.add_column(sa.Column("stop_on_failure", sa.Boolean(), nullable=False, server_default=sa.false()))
    _create_job()
    op.execute(_COPY_RUNS)
    _replace_observations()
    op.drop_table("run")
    op.create_table(
        "worker",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("devices", sa.JSON(), nullable=False),
        sa.Column("started", sa.Float(), nullable=False),
        sa.Column("seen", sa.Float(), nullable=False),
        sa.Column("heartbeat", sa.Integer(), nullable=False),
    )
    op.create_table(
        "switch",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("changed", sa.Float(), nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
    )


# What ran while it was updated is lost like the work of any worker that disappears. The heartbeat of an old worker
# stands still from here on.
_COPY_RUNS = """
    INSERT INTO job (id, kind, experiment_id, label, position, spec, created_by, created, pinned, state, priority, rank,
                     devices, device, phase, started, ended, step, total_steps, eta_seconds, latest, result, failure,
                     attempt, fresh, losses, owner, heartbeat, placed_on)
    SELECT id, 'train', experiment_id, label, position, spec, '', created, FALSE, state, 0, created + position * 1e-6,
           1, '', phase, started, ended, step, total_steps, eta_seconds, '{}',
           CASE WHEN CAST(result AS TEXT) = 'null' THEN NULL ELSE result END,
           CASE WHEN CAST(failure AS TEXT) = 'null' THEN NULL ELSE failure END,
           CASE WHEN started IS NULL THEN 0 ELSE 1 END, FALSE, 0, owner, 0, ''
    FROM run
"""


def _create_job() -> None:
    op.create_table(
        "job",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("experiment_id", sa.String(), sa.ForeignKey("experiment.id"), nullable=True),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("idempotency_key", sa.String(), nullable=True, unique=True),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Float(), nullable=False),
        sa.Column("devices", sa.Integer(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("started", sa.Float(), nullable=True),
        sa.Column("ended", sa.Float(), nullable=True),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("total_steps", sa.Integer(), nullable=True),
        sa.Column("eta_seconds", sa.Float(), nullable=True),
        sa.Column("latest", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("failure", sa.JSON(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("fresh", sa.Boolean(), nullable=False),
        sa.Column("losses", sa.Integer(), nullable=False),
        sa.Column("stop_mode", sa.String(), nullable=True),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("heartbeat", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(), nullable=True),
        sa.Column("process_id", sa.Integer(), nullable=True),
        sa.Column("placed_on", sa.String(), nullable=False),
    )
    for name in ("kind", "experiment_id", "state"):
        op.create_index(f"ix_job_{name}", "job", [name])
    op.create_index("ix_job_queue", "job", ["state", "priority", "rank"])
    op.create_index("ix_job_created", "job", ["created", "position"])


def _replace_observations() -> None:
    """Metric points and transitions belong to jobs; their numbers stay, since open pages have them."""
    for table in ("metric_point", "transition"):
        op.rename_table(table, f"old_{table}")
    op.drop_index("ix_metric_run_cursor")
    op.drop_index("ix_transition_run_id")
    op.create_table(
        "metric_point",
        sa.Column("cursor", _CURSOR, primary_key=True),
        sa.Column("job_id", sa.String(), sa.ForeignKey("job.id", ondelete="CASCADE"), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("time", sa.Float(), nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.UniqueConstraint("job_id", "attempt", "line"),
    )
    op.create_table(
        "transition",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("job_id", sa.String(), sa.ForeignKey("job.id", ondelete="CASCADE"), nullable=False),
        sa.Column("time", sa.Float(), nullable=False),
        sa.Column("before", sa.String(), nullable=True),
        sa.Column("after", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
    )
    op.execute(
        'INSERT INTO metric_point (cursor, job_id, attempt, line, step, time, "values")'
        ' SELECT cursor, run_id, 1, line, step, time, "values" FROM old_metric_point'
    )
    op.execute(
        "INSERT INTO transition (id, job_id, time, before, after, owner, cause)"
        " SELECT id, run_id, time, before, after, owner, cause FROM old_transition"
    )
    for table in ("metric_point", "transition"):
        op.drop_table(f"old_{table}")
    if op.get_bind().dialect.name == "postgresql":
        for table, column in (("metric_point", "cursor"), ("transition", "id")):
            op.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), max({column})) FROM {table}"  # noqa: S608
            )
    op.create_index("ix_metric_job_cursor", "metric_point", ["job_id", "cursor"])
    op.create_index("ix_transition_job_id", "transition", ["job_id"])
