"""The tables: the run store is the truth about every experiment and run; queue messages only carry a run's id."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Column, Index, UniqueConstraint
from sqlmodel import Field, SQLModel


class RunState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    STOPPING = "stopping"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


# Every legal move; anything else is refused by the store.
TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.STOPPED}),
    RunState.RUNNING: frozenset({RunState.STOPPING, RunState.FINISHED, RunState.FAILED, RunState.INTERRUPTED}),
    RunState.STOPPING: frozenset({RunState.STOPPED, RunState.FINISHED, RunState.FAILED, RunState.INTERRUPTED}),
    RunState.FINISHED: frozenset(),
    RunState.STOPPED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.INTERRUPTED: frozenset(),
}
ENDED = frozenset(state for state, following in TRANSITIONS.items() if not following)


class Experiment(SQLModel, table=True):
    id: str = Field(primary_key=True)
    name: str
    created: float = Field(default_factory=time.time, index=True)
    spec: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    idempotency_key: str | None = Field(default=None, unique=True)
    request_fingerprint: str = ""
    created_by: str = Field(
        default="", sa_column_kwargs={"server_default": ""}, description="An account; empty where none is known."
    )


class Run(SQLModel, table=True):
    id: str = Field(primary_key=True)
    experiment_id: str = Field(foreign_key="experiment.id", index=True)
    label: str
    position: int = Field(description="Order within the experiment.")
    spec: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    state: str = Field(default=RunState.QUEUED, index=True)
    phase: str = Field(
        default="", description="What a running run is doing: loading, probing, training, saving, evaluating."
    )
    created: float = Field(default_factory=time.time)
    started: float | None = None
    ended: float | None = None
    step: int = 0
    total_steps: int | None = None
    tokens_per_second: float | None = None
    eta_seconds: float | None = None
    result: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON))
    failure: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON))
    owner: str | None = None
    lease_until: float | None = None
    process_id: int | None = None


class MetricPoint(SQLModel, table=True):
    """One logged step. `cursor` grows over all runs, so a reader asks only for what is newer than it has."""

    __tablename__ = "metric_point"
    __table_args__ = (UniqueConstraint("run_id", "line"), Index("ix_metric_run_cursor", "run_id", "cursor"))

    cursor: int | None = Field(default=None, primary_key=True)
    run_id: str = Field(foreign_key="run.id")
    line: int = Field(description="Line of the run's metrics file: reading the file again adds nothing twice.")
    step: int
    time: float
    values: dict[str, float] = Field(sa_column=Column("values", JSON, nullable=False))


class Transition(SQLModel, table=True):
    """Every change of state, with its time, who made it and why."""

    id: int | None = Field(default=None, primary_key=True)
    run_id: str = Field(foreign_key="run.id", index=True)
    time: float = Field(default_factory=time.time)
    before: str | None = None
    after: str
    owner: str = ""
    cause: str = ""


class Dataset(SQLModel, table=True):
    """An uploaded file. `id` is its content's fingerprint: the same file uploaded twice is one data set."""

    id: str = Field(primary_key=True)
    name: str
    suffix: str
    bytes: int
    rows: int
    created: float = Field(default_factory=time.time)
