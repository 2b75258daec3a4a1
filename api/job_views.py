"""What the API says of jobs, the queue and the workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, SecretStr

from api.schemas import FailureView, StreamEvent, TransitionView
from api.views import Asked, ComputedView, View
from gift_core.section import Name
from workers.experiments import LaunchOptions
from workers.records import Job, JobKind, JobState, StopMode, Worker


class JobView(ComputedView):
    """Something that is computed, and how far it is. Times are seconds since 1970."""

    id: str
    kind: JobKind
    experiment_id: str | None
    label: str
    created_by: str
    state: JobState
    phase: str = Field(description="What a running job is doing.")
    priority: int = Field(description="Of those that wait, the highest is next.")
    devices: int = Field(description="How many it needs; 0 for one that runs beside others.")
    device: str = Field(description="The device, or the kind of devices, that it asks for; any if empty.")
    placed_on: str = Field(description="The devices of the last attempt, with commas between.")
    host: str | None
    created: float
    started: float | None
    ended: float | None
    step: int
    total_steps: int | None
    eta_seconds: float | None
    attempt: int = Field(description="How often it was begun or gone on with.")
    pinned: bool = Field(description="Whether its files are kept whatever the disk quota says.")
    failure: FailureView | None


class JobDetail(JobView):
    """A job with what was asked for, what came of it, and its history."""

    spec: dict[str, Any]
    result: dict[str, Any] | None
    latest: dict[str, Any] = Field(description="The last value of everything that it reports.")
    transitions: list[TransitionView]

    @classmethod
    def of(cls, job: Job, transitions: list[TransitionView]) -> Self:
        more = {"spec": job.spec, "result": job.result, "latest": job.latest}
        return cls(**dict(JobView.from_record(job)), **more, transitions=transitions)


class JobNews(JobView):
    """A job as a stream tells of it."""

    latest: dict[str, Any] = Field(description="The last value of everything that it reports.")


class JobEvent(StreamEvent):
    """A server-sent event that says how a job is now."""

    event: Literal["job"] = "job"
    data: JobNews


class WaitingView(View):
    """A job in the queue."""

    id: str
    priority: int


class LineView(View):
    """Who waits, the next one first, and whether anybody is taken."""

    paused: bool
    waiting: list[WaitingView] = Field(description="At most 200.")

    @classmethod
    def of(cls, waiting: Sequence[Job], *, paused: bool) -> Self:
        return cls(paused=paused, waiting=[WaitingView.from_record(job) for job in waiting])


class QueueEvent(StreamEvent):
    """A server-sent event that says what waits now."""

    event: Literal["queue"] = "queue"
    data: LineView


class QueueView(BaseModel):
    """What runs, and what waits in the order in which it is taken."""

    paused: bool
    held_up: str = Field("", description="Why nothing is taken, though it is not paused; empty while jobs are taken.")
    running: list[JobView]
    waiting: list[JobView] = Field(description="At most 200.")


class DeviceView(View):
    """Something that one job at a time computes on. Memory in bytes."""

    name: str
    title: str
    memory: int
    held_up: str = Field("", description="Why its worker takes nothing; empty while it takes jobs.")
    job: str | None = Field(None, description="The job that has it.")


class WorkerView(View):
    """A process that takes jobs."""

    id: str
    host: str
    started: float
    seen: float = Field(description="When it last showed itself.")
    devices: list[DeviceView]

    @classmethod
    def of(cls, worker: Worker, active: list[Job]) -> Self:
        taken = {
            name: job.id
            for job in active
            if (job.owner or "").rpartition("/")[0] == worker.id
            for name in job.placed_on.split(",")
        }
        devices = [DeviceView(**device, job=taken.get(device["name"])) for device in worker.devices]
        return cls(id=worker.id, host=worker.host, started=worker.started, seen=worker.seen, devices=devices)


class StopRequest(Asked):
    """How to stop. A job that is stopping already can still be told to discard."""

    mode: Literal[StopMode.SAVE, StopMode.DISCARD] = Field(
        StopMode.SAVE,
        description="save: what it can be resumed from, and its result so far; discard: nothing is kept. "
        "A queued job leaves the queue, and keeps what it had, either way.",
    )


class CloneRequest(Asked):
    """What is to be another than in the job that is cloned."""

    changes: Annotated[dict[Annotated[str, Field(max_length=200)], Any], Field(max_length=100)] = Field(
        default_factory=dict, description="New values by dotted field of the job's spec, such as `training.epochs`."
    )
    name: Annotated[Name, Field(max_length=120)] = Field(
        "", description="Of the experiment, where a run is cloned; made up when empty."
    )
    token: SecretStr | None = Field(
        None, description="Where an upload is cloned: with the role write; the studio's own if left out. Kept nowhere."
    )


class ContinueRequest(Asked):
    """How much longer to train."""

    epochs: Annotated[int, Field(ge=1, le=1000)] = Field(description="So many more.")


class LaunchQuery(Asked):
    """How an experiment's runs are queued; none of it changes their numbers."""

    priority: Annotated[int, Field(ge=-100, le=100)] = Field(
        0, description="Of those that wait, the highest is next; above 0 for admins."
    )
    devices: Annotated[int, Field(ge=1, le=64)] = Field(1, description="On how many devices each run is trained.")
    device: Annotated[str, Field(pattern=r"^(cpu|cuda(:\d{1,3})?)?$")] = Field(
        "", description="On which, or which kind; any if left out."
    )
    stop_on_failure: bool = Field(False, description="Stop the runs that wait when one of them fails.")

    def options(self) -> LaunchOptions:
        return LaunchOptions(**self.model_dump())


class JobChange(Asked):
    """What to change of a job; what is left out stays."""

    priority: Annotated[int, Field(ge=-100, le=100)] | None = Field(None, description="Above 0 for admins only.")
    before: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="A waiting job, whose place and priority it gets; for all but admins one of their own."
    )
    first: bool = Field(
        False, description="Whether it goes before all that wait now, or, below an admin, all of one's own."
    )
    last: bool = Field(False, description="Whether it goes behind all that wait now.")
    pinned: bool | None = None
