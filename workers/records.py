"""The tables: the job table is the truth about everything the studio computes; queue messages only carry a job's id."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlmodel import Field, SQLModel


class JobKind(StrEnum):
    TRAIN = "train"
    EVALUATE = "evaluate"
    DENOISE = "denoise"
    INSPECT = "inspect"
    EXPORT = "export"
    PUSH = "push"


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    STOPPING = "stopping"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


# Every legal move; anything else is refused by the store. What has not finished may be taken up again.
TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    # One that leaves the queue is again what it was before it was queued.
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.STOPPED, JobState.FAILED, JobState.INTERRUPTED}),
    JobState.RUNNING: frozenset({JobState.STOPPING, JobState.FINISHED, JobState.FAILED, JobState.INTERRUPTED}),
    JobState.STOPPING: frozenset({JobState.STOPPED, JobState.FINISHED, JobState.FAILED, JobState.INTERRUPTED}),
    JobState.FINISHED: frozenset(),
    # To each other where an attempt that was set aside is brought back.
    JobState.STOPPED: frozenset({JobState.QUEUED, JobState.FAILED, JobState.INTERRUPTED}),
    JobState.FAILED: frozenset({JobState.QUEUED, JobState.STOPPED, JobState.INTERRUPTED}),
    JobState.INTERRUPTED: frozenset({JobState.QUEUED, JobState.STOPPED, JobState.FAILED}),
}
# Readers ask for what is newer than the last number that they have: that of a removed row must not come again.
_NUMBERED_ONCE = {"sqlite_autoincrement": True}
ACTIVE = frozenset({JobState.RUNNING, JobState.STOPPING})
ENDED = frozenset({JobState.FINISHED, JobState.STOPPED, JobState.FAILED, JobState.INTERRUPTED})


class StopMode(StrEnum):
    """What a stopped job leaves: checkpoint and result so far, nothing, or what it had before it started over."""

    SAVE = "save"
    DISCARD = "discard"
    RESTORE = "restore"


class Experiment(SQLModel, table=True):
    """Runs that are compared. `stop_on_failure`: when one fails, those that wait are stopped."""

    id: str = Field(primary_key=True)
    name: str
    created: float = Field(default_factory=time.time, index=True)
    spec: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    created_by: str = ""
    stop_on_failure: bool = False


class Job(SQLModel, table=True):
    """Something to compute in a process of its own. A run is a job that trains.

    Among those that wait, the highest `priority` is next, then the lowest `rank`. `devices` is how many it needs, 0 for
    one that takes a side slot; `device` names one or a kind of them, "" is any. `heartbeat` is raised by the worker
    that has it and by nothing else: a job whose heartbeat stands still is lost, whatever the clocks say.
    """

    __table_args__ = (
        Index("ix_job_queue", "state", "priority", "rank"),
        Index("ix_job_created", "created", "position"),
        # What is counted at every scrape, without looking at a row.
        Index("ix_job_kind_state", "kind", "state"),
        Index("ix_job_untaken", "state", "attempt", "created"),
    )

    id: str = Field(primary_key=True)
    kind: str = Field(default=JobKind.TRAIN, index=True)
    experiment_id: str | None = Field(default=None, foreign_key="experiment.id", index=True)
    label: str
    position: int = Field(default=0, description="Order within the experiment.")
    spec: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    created_by: str = ""
    created: float = Field(default_factory=time.time)
    pinned: bool = False
    files_removed: float | None = Field(default=None, description="When its files were removed to make room.")

    state: str = Field(default=JobState.QUEUED, index=True)
    priority: int = 0
    rank: float = Field(default_factory=time.time)
    devices: int = 1
    device: str = ""

    phase: str = Field(
        default="", description="What a running job is doing: loading, probing, training, saving, evaluating."
    )
    started: float | None = None
    ended: float | None = None
    step: int = 0
    total_steps: int | None = None
    eta_seconds: float | None = None
    latest: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column(JSON, nullable=False), description="The last value of every metric."
    )
    result: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    failure: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))

    attempt: int = 0
    fresh: bool = Field(default=False, description="Whether the next attempt begins anew instead of resuming.")
    losses: int = Field(default=0, description="How often its worker was lost since a person last asked for it.")
    saved_step: int | None = Field(
        default=None,
        description="The step of the last checkpoint, or the answers so far; None if it cannot be resumed.",
    )
    seconds: float = Field(
        default=0.0,
        sa_column_kwargs={"server_default": "0"},
        description="What attempts that have ended took, since it last began at step 0.",
    )
    first_attempt: int = Field(
        default=1, sa_column_kwargs={"server_default": "1"}, description="The attempt that began, or begins, at step 0."
    )
    returns_to: dict[str, Any] | None = Field(
        default=None,
        sa_column=Column(JSON(none_as_null=True)),
        description="What it is again when it leaves the queue.",
    )
    aside_attempt: int | None = Field(
        default=None, index=True, description="The last attempt of those whose files are set aside."
    )
    set_aside: dict[str, Any] | None = Field(
        default=None, sa_column=Column(JSON(none_as_null=True)), description="What it was before those were set aside."
    )
    stop_mode: str | None = None
    owner: str | None = None
    heartbeat: int = 0
    host: str | None = None
    process_id: int | None = None
    placed_on: str = Field(default="", description="The devices of the attempt, such as `cuda:0,cuda:1`.")

    @property
    def tokens_per_second(self) -> float | None:
        return self.latest.get("tokens_per_second")


class MetricPoint(SQLModel, table=True):
    """One logged step. `cursor` grows over all jobs, so a reader asks only for what is newer than it has."""

    __tablename__ = "metric_point"
    __table_args__ = (
        UniqueConstraint("job_id", "attempt", "line"),
        Index("ix_metric_job_cursor", "job_id", "cursor"),
        _NUMBERED_ONCE,
    )

    cursor: int | None = Field(
        default=None, sa_column=Column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    )
    job_id: str = Field(sa_column=Column(String, ForeignKey("job.id", ondelete="CASCADE"), nullable=False))
    attempt: int = 1
    line: int = Field(description="Line of the attempt's report: reading it again adds nothing twice.")
    step: int
    time: float
    values: dict[str, float] = Field(sa_column=Column("values", JSON, nullable=False))


class Transition(SQLModel, table=True):
    """Every change of state, with its time, who made it and why."""

    __table_args__ = _NUMBERED_ONCE

    id: int | None = Field(default=None, primary_key=True)
    job_id: str = Field(sa_column=Column(String, ForeignKey("job.id", ondelete="CASCADE"), nullable=False, index=True))
    time: float = Field(default_factory=time.time)
    before: str | None = None
    after: str
    owner: str = ""
    cause: str = ""


class Worker(SQLModel, table=True):
    """A process that takes jobs. `devices`: what it has, as `workers.devices.Device` says them."""

    id: str = Field(primary_key=True)
    host: str
    process_id: int
    devices: list[dict[str, Any]] = Field(sa_column=Column(JSON, nullable=False))
    started: float = Field(default_factory=time.time)
    seen: float = Field(default_factory=time.time)
    heartbeat: int = 0


class Switch(SQLModel, table=True):
    """A setting that is changed while the studio runs, and who changed it: `paused` for the queue."""

    name: str = Field(primary_key=True)
    value: str
    changed: float = Field(default_factory=time.time)
    changed_by: str = ""


class IdempotencyKey(SQLModel, table=True):
    """What a key that a client sent was used for: `made` is the id of a new experiment or job, if it made one."""

    __tablename__ = "idempotency_key"

    key: str = Field(primary_key=True)
    fingerprint: str
    made: str | None = None
    created: float = Field(default_factory=time.time, index=True)


class Dataset(SQLModel, table=True):
    """An uploaded file, and one way to read it.

    `id` is made of its content: the same file uploaded twice for the same purpose is one data set. `task` is set if its
    rows are problems to be evaluated on, and `summary` says how its columns are read.
    """

    id: str = Field(primary_key=True)
    name: str
    suffix: str
    bytes: int
    rows: int
    created: float = Field(default_factory=time.time)
    summary: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON))
    fingerprint: str = Field(default="", sa_column_kwargs={"server_default": ""})
    task: str = Field(default="", sa_column_kwargs={"server_default": ""})
