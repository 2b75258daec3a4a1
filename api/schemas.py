"""What the API says: the resources, built from the stored records, and the requests that are not a spec."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from fastapi import Query
from pydantic import BaseModel, Field

from api.views import Asked, ComputedView, View
from gift_core.data_spec import TaskName
from gift_core.dataset_document import DatasetInspection
from gift_core.errors import Problem
from gift_core.evaluation_document import ConditionResult
from gift_core.section import Seed
from gift_core.spec import ExperimentSpec, RunSpec, SamplingSpec
from gift_core.trace import Edit, Frame, TraceEnd, TraceStart
from workers.live_traces import TraceState
from workers.orders import MOST_COUNTED, MOST_EXAMPLES, CheckpointIds, EvaluationOrder, EvaluationSettings
from workers.records import ENDED, Job, JobState, MetricPoint

Text = Annotated[str, Field(max_length=20_000)]
Edits = Annotated[list[Edit], Field(max_length=1000)]
Positions = Annotated[list[int], Field(max_length=32_768)]


class ProblemDocument(BaseModel):
    """The body of every error (RFC 9457, `application/problem+json`)."""

    code: str = Field(description="Stable and machine-readable: spec, data, model, not_found, conflict, ...")
    title: str = Field(description="What kind of error it is, in a few words.")
    status: int = Field(description="The HTTP status, again.")
    problems: list[Problem] = Field(description="Each thing that is wrong: the field, why, and what to do.")
    detail: str = Field("", description="The problems as one text, for programs that show no more than that.")


class ModelView(View):
    """A base model on offer."""

    name: str
    title: str
    description: str


class ScoreView(View):
    """How many held-out examples were solved, with a 95 % interval."""

    correct: int
    n: int
    share: float
    low: float
    high: float


class ResultView(View):
    """What a finished run came to, or what one that was stopped has so far."""

    base: str | None = Field(None, description="The base model, of the Hub as owner/name@commit; null for older runs.")
    seconds: float
    steps: int | None = Field(None, description="After how many steps.")
    final_loss: float | None = None
    score: ScoreView | None = None


class FailureView(View):
    """Why a run failed."""

    code: str
    message: str
    field: str = ""
    remedy: str = ""


def problems_of(job: Job) -> list[Problem]:
    """Why a job failed."""
    failure = FailureView(**job.failure) if job.failure else None
    return [Problem(failure.message, failure.field, failure.remedy)] if failure else []


class RunView(ComputedView):
    """A run and how far it is. Times are seconds since 1970."""

    id: str
    experiment_id: str
    label: str
    position: int = Field(description="Order within the experiment.")
    state: JobState
    phase: str = Field(description="What a running run is doing: loading, probing, training, saving, evaluating.")
    created: float
    started: float | None
    ended: float | None
    step: int
    total_steps: int | None
    tokens_per_second: float | None
    eta_seconds: float | None
    result: ResultView | None
    failure: FailureView | None
    files_removed: float | None = Field(None, description="When its files were removed to make room.")

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED


class TransitionView(View):
    """A change of state, and why."""

    time: float
    before: JobState | None
    after: JobState
    cause: str


class RunDetail(RunView):
    """A run with its spec and its history."""

    spec: RunSpec
    transitions: list[TransitionView]


class ExperimentView(View):
    """An experiment: one spec, expanded into runs."""

    id: str
    name: str
    created: float
    spec: ExperimentSpec
    stop_on_failure: bool = Field(False, description="Whether the runs that wait are stopped when one of them fails.")


class ExperimentDetail(ExperimentView):
    """An experiment with its runs, in their order."""

    runs: list[RunView]


class MetricPointView(View):
    """One logged step. A value that was not finite is null."""

    cursor: int
    run_id: str
    step: int
    time: float
    values: dict[str, float | None]

    @classmethod
    def of_point(cls, point: MetricPoint) -> Self:
        return cls(
            cursor=point.cursor or 0, run_id=point.job_id, step=point.step, time=point.time, values=dict(point.values)
        )


class MetricsView(View):
    """Metric points after a cursor, over the runs asked for."""

    points: list[MetricPointView]
    cursor: int = Field(description="Pass it as `after` to get only what is newer.")


class RunMetrics(View):
    """The body of a `metrics` event."""

    run_id: str
    points: list[MetricPointView]


class StreamEvent(View):
    """A server-sent event."""

    id: str = Field(description="Send it back as `Last-Event-ID` to go on from here.")


class RunEvent(StreamEvent):
    """A server-sent event that says how a run is now."""

    event: Literal["run"] = "run"
    data: RunView


class MetricsEvent(StreamEvent):
    """A server-sent event with new metric points of one run."""

    event: Literal["metrics"] = "metrics"
    data: RunMetrics


class DatasetView(View):
    """An uploaded file and how it is read. The same content uploaded twice in the same way is one data set."""

    id: str
    name: str
    suffix: str
    bytes: int
    rows: int
    created: float
    task: str = Field("", description="The task whose problems its rows are; empty for rows to learn from.")


class CheckpointView(View):
    """A model to inspect or to sample from: a base model, or what a finished run made of it."""

    id: str
    label: str
    experiment: str | None = Field(description="The experiment of the run; null for a base model.")


class ExampleView(View):
    """A held-out example of a built-in task."""

    task: TaskName
    title: str
    prompt: str
    response: str


class PreviewRequest(Asked):
    """Which examples of a run's data to show, as the run would see them."""

    run: RunSpec = Field(default_factory=RunSpec)
    start: Annotated[int, Field(ge=0)] = 0
    rows: Annotated[int, Field(ge=1, le=50)] = 5


Compute = Annotated[
    bool, Query(description="Compute a missing result. If false, a missing result is answered with 404.")
]


class InspectionRequest(Asked):
    """Which text to look at, under which checkpoints."""

    checkpoints: CheckpointIds
    prompt: Text
    response: Text
    power: Annotated[float, Field(ge=0, le=4)] = Field(0.5, description="Masking rate beta_i = H_i ** power.")
    masked: Positions | None = Field(
        None, description="Positions of the response to mask for a second look; null for the probe alone."
    )


class DatasetInspectionRequest(Asked):
    """Which data to look at, under which checkpoints."""

    checkpoints: CheckpointIds
    run: RunSpec = Field(
        default_factory=RunSpec,
        description="Its data, and what a run makes of them: tail, precision, and the rates of its objective.",
    )
    examples: Annotated[int, Field(ge=1, le=MOST_EXAMPLES)] = Field(
        256, description="Look at no more than this many of the training examples."
    )
    seed: Seed = Field(0, description="Seed of the choice.")
    minimum_count: Annotated[int, Field(ge=1, le=MOST_COUNTED)] = Field(
        5, description="Occurrences that a token needs to be listed."
    )


class DatasetInspectionView(View):
    """A look at a data set, and how far it is."""

    id: str
    state: JobState
    done: int = Field(description="Probes made so far: one for each example and checkpoint.")
    total: int | None = Field(description="Probes to make; null before that is known.")
    result: DatasetInspection | None = None
    problems: list[Problem] = Field([], description="Why it failed.")

    @classmethod
    def of_job(cls, job: Job, result: DatasetInspection | None) -> Self:
        return cls(
            id=job.id,
            state=JobState(job.state),
            done=job.step,
            total=job.total_steps,
            result=result,
            problems=problems_of(job),
        )


class DenoisingRequest(Asked):
    """What to generate, with which checkpoints. They share the seed and therefore the noise."""

    checkpoints: CheckpointIds
    prompt: Text
    sampling: SamplingSpec = Field(default_factory=SamplingSpec)
    seed: Seed = 1
    edits: Edits = Field([], description="Text that stands in the response from the beginning (infill).")


class BranchRequest(Asked):
    """Where to leave a trace, and what to change there."""

    cursor: Annotated[int, Field(ge=0, le=4096)] = Field(description="After so many of its steps.")
    edits: Edits = Field([], description="Text to put somewhere, or null to mask the position again.")


class TraceView(View):
    """A denoising run, and how far it is."""

    id: str
    checkpoint: str
    label: str
    state: TraceState
    steps: int = Field(description="Steps taken so far.")
    problems: list[Problem] = Field(description="Why it failed.")


class TracePart(View):
    """The body of a trace's events. A `part` event brings the start, a frame or the end; an `ended` event none."""

    trace: str
    state: TraceState
    part: TraceStart | Frame | TraceEnd | None = None
    problems: list[Problem] = Field([], description="Why the trace failed.")


class TraceStreamEvent(StreamEvent):
    """A server-sent event of one or several traces. `ended` follows each trace's last part."""

    event: Literal["part", "ended"]
    data: TracePart


class EvaluationRequest(EvaluationSettings):
    """A list of problems to be solved by each of these checkpoints."""

    checkpoints: CheckpointIds


class EvaluationView(View):
    """An evaluation, and how far it is over all its lengths and seeds."""

    id: str
    label: str = Field(description="The checkpoint's.")
    order: EvaluationOrder
    state: JobState
    done: int
    total: int | None
    solved: int = Field(description="Of those done.")
    eta_seconds: float | None
    problems: list[Problem] = Field(description="Why it failed.")

    @classmethod
    def of_job(cls, job: Job) -> Self:
        return cls(
            id=job.id,
            label=job.label,
            order=EvaluationOrder.parse(job.spec),
            state=JobState(job.state),
            done=job.step,
            total=job.total_steps,
            solved=int(job.latest.get("solved", 0)),
            eta_seconds=job.eta_seconds,
            problems=problems_of(job),
        )


class EvaluationDetail(EvaluationView):
    """An evaluation with its scores so far."""

    items: int | None = Field(None, description="On the list; null before the first answer.")
    items_fingerprint: str | None = Field(None, description="Equal lists share it.")
    model_fingerprint: str | None = None
    versions: dict[str, str] = Field({}, description="Of the packages that began it.")
    missing: int | None = Field(None, description="Answers that are not there yet.")
    conditions: list[ConditionResult] = Field([], description="One for each length and seed with answers.")


class AnswerView(View):
    """An item and what the checkpoint made of it."""

    item: str
    prompt: str
    expected: str
    response: str
    tokens: int
    ended: bool
    solved: bool
    text: str = Field(description="The score in words.")
