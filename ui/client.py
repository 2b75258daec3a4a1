"""The one way from the front end to the backend: a typed method for every route."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import Field, TypeAdapter, ValidationError

from api.account_views import SessionView
from api.dataset_views import DatasetDetail
from api.job_views import JobDetail, JobEvent, JobView, QueueEvent, QueueView, WorkerView
from api.pages import Page
from api.schemas import (
    AnswerView,
    CheckpointView,
    DatasetInspectionView,
    DatasetView,
    EvaluationDetail,
    EvaluationRequest,
    EvaluationView,
    ExampleView,
    ExperimentDetail,
    ExperimentView,
    MetricsEvent,
    MetricsView,
    ModelView,
    ProblemDocument,
    RunDetail,
    RunEvent,
    RunView,
    TraceStreamEvent,
    TraceView,
)
from gift_core.comparison import TraceComparison
from gift_core.documents import DatasetPreview, Inspection
from gift_core.errors import Problem
from gift_core.evaluation_document import LengthComparison
from gift_core.preflight_document import PreflightReport
from gift_core.spec import ExperimentSpec, RunSpec, SamplingSpec
from gift_core.trace import Edit, Trace

T = TypeVar("T")

_TIMEOUT = httpx.Timeout(30, connect=5)
# A first inspection loads the models, a long denoising computes for minutes on a CPU.
_COMPUTING = httpx.Timeout(600, connect=5)
# The server sends a comment every 15 s while nothing happens.
_STREAMING = httpx.Timeout(30, connect=5)

# The most that every list gives at once.
_PAGE = 100

StudioEvent = Annotated[
    RunEvent | MetricsEvent | JobEvent | QueueEvent | TraceStreamEvent, Field(discriminator="event")
]
_EVENT: TypeAdapter[StudioEvent] = TypeAdapter(StudioEvent)


class StudioError(Exception):
    """What the backend refused to do, in its own words. `status` is 0 when there was no answer."""

    def __init__(self, problems: Sequence[Problem], status: int) -> None:
        self.problems = tuple(problems)
        self.status = status
        super().__init__("\n".join(str(problem) for problem in problems))


class StudioClient:
    """A connection to the backend at `base_url`. Every method raises `StudioError`."""

    def __init__(
        self,
        base_url: str,
        *,
        transport: httpx.BaseTransport | None = None,
        credentials: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """`credentials` gives, at each request, the headers that say who it is for."""
        self._base_url = base_url.rstrip("/")
        self._credentials = credentials
        # trust_env=False: a proxy in the environment is for the internet, the backend is on this network.
        self._http = httpx.Client(
            base_url=f"{self._base_url}/api/v1", timeout=_TIMEOUT, transport=transport, trust_env=False
        )

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def acting_for(self, credentials: Mapping[str, str]) -> StudioClient:
        """This connection, with the credentials of one visitor."""
        acting = copy(self)
        acting._credentials = lambda: credentials
        return acting

    def session(self) -> SessionView:
        """Who the backend takes this client for."""
        return self._get(SessionView, "/session")

    def models(self) -> list[ModelView]:
        return self._get(list[ModelView], "/models")

    def presets(self) -> dict[str, ExperimentSpec]:
        return self._get(dict[str, ExperimentSpec], "/presets")

    def checkpoints(self) -> list[CheckpointView]:
        return self._get(list[CheckpointView], "/checkpoints")

    def examples(self, count: int = 5) -> list[ExampleView]:
        """`count` held-out examples of each built-in task."""
        return self._get(list[ExampleView], "/examples", count=count)

    def create_experiment(self, spec: ExperimentSpec | dict[str, Any], key: str) -> ExperimentDetail:
        """Launch; the same `key` again returns what it created. A dict is checked by the backend."""
        body = spec if isinstance(spec, dict) else spec.model_dump(mode="json")
        return self._request(ExperimentDetail, "POST", "/experiments", json=body, headers={"Idempotency-Key": key})

    def preflight(self, experiment: ExperimentSpec | object, effect: float = 10) -> PreflightReport:
        """What is wrong with an experiment and what it would take; `effect` is the difference to be told, in points.

        What is no `ExperimentSpec` is checked by the backend, and what is wrong with it is in the report.
        """
        body = experiment.model_dump(mode="json") if isinstance(experiment, ExperimentSpec) else experiment
        return self._compute(PreflightReport, "/preflights", body, params={"effect": effect})

    def experiments(self, limit: int | None = 50, **narrowed: Any) -> list[ExperimentView]:
        """The newest first, all of them without a limit; `narrowed`: created_by, text."""
        return self._pages(ExperimentView, "/experiments", limit, **narrowed)

    def experiment(self, experiment_id: str) -> ExperimentDetail:
        return self._get(ExperimentDetail, f"/experiments/{_part(experiment_id)}")

    def runs(
        self, experiment_id: str | None = None, state: str | None = None, limit: int | None = 100, **narrowed: Any
    ) -> list[RunView]:
        """Those of the newest experiment first; `narrowed`: created_by, text."""
        return self._pages(RunView, "/runs", limit, experiment=experiment_id, state=state, **narrowed)

    def run(self, run_id: str) -> RunDetail:
        return self._get(RunDetail, f"/runs/{_part(run_id)}")

    def stop(self, run_id: str) -> RunView:
        return self._request(RunView, "POST", f"/runs/{_part(run_id)}/stop")

    def jobs(self, cursor: str | None = None, limit: int = 50, **narrowed: Any) -> Page[JobView]:
        """Jobs of every kind, the newest first; `narrowed`: kind, state, ended, experiment, created_by, text."""
        return self._get(Page[JobView], "/jobs", cursor=cursor, limit=limit, **narrowed)

    def job(self, job_id: str) -> JobDetail:
        return self._get(JobDetail, f"/jobs/{_part(job_id)}")

    def stop_job(self, job_id: str, mode: Literal["save", "discard"] = "save") -> JobView:
        """Ask a job to stop, and to save what it has or to discard it."""
        return self._request(JobView, "POST", f"/jobs/{_part(job_id)}/stop", json={"mode": mode})

    def resume_job(self, job_id: str) -> JobView:
        """Go on with a job that ended without finishing."""
        return self._request(JobView, "POST", f"/jobs/{_part(job_id)}/resume")

    def retry_job(self, job_id: str) -> JobView:
        """The same from the start."""
        return self._request(JobView, "POST", f"/jobs/{_part(job_id)}/retry")

    def change_job(self, job_id: str, **change: Any) -> JobView:
        """`change`: priority, before (another's id), last, pinned."""
        return self._request(JobView, "PATCH", f"/jobs/{_part(job_id)}", json=change)

    def delete_job(self, job_id: str) -> None:
        """Forget an ended job and its files."""
        with self._answer("DELETE", f"/jobs/{_part(job_id)}"):
            pass

    def queue(self) -> QueueView:
        return self._get(QueueView, "/queue")

    def pause_queue(self) -> QueueView:
        return self._request(QueueView, "POST", "/queue/pause")

    def resume_queue(self) -> QueueView:
        return self._request(QueueView, "POST", "/queue/resume")

    def devices(self) -> list[WorkerView]:
        """The workers and what they compute on."""
        return self._get(list[WorkerView], "/devices")

    def log(self, run_id: str, tail_bytes: int = 64_000) -> str:
        return self._text(f"/runs/{_part(run_id)}/log", tail_bytes=tail_bytes)

    def spec(self, run_id: str) -> str:
        """The run's spec as YAML."""
        return self._text(f"/runs/{_part(run_id)}/spec")

    def metrics(self, run_ids: Sequence[str] | None = None, after: int = 0, limit: int = 1000) -> MetricsView:
        """Points newer than the cursor `after`; pass the answer's cursor to the next call."""
        return self._get(MetricsView, "/metrics", run=run_ids, after=after, limit=limit)

    def events(self, experiment_id: str, after: str | None = None) -> Iterator[RunEvent | MetricsEvent]:
        """All events of an experiment, or those after the event id `after`, and then whatever happens."""
        for event in self.watch([f"experiment:{experiment_id}"], after):
            if isinstance(event, RunEvent | MetricsEvent):
                yield event

    def watch(self, topics: Sequence[str], after: str | None = None) -> Iterator[StudioEvent]:
        """Everything about the topics (`experiment:ID`, `job:ID`, `trace:ID`, `queue`), or what came after the event id
        `after`, and then whatever happens."""
        options = {"params": {"topic": list(topics)}, "headers": _given({"Last-Event-ID": after})}
        with self._answer("GET", "/events", timeout=_STREAMING, **options) as response:
            for fields in _parse_events(response.iter_lines()):
                yield _EVENT.validate_python(fields)

    def upload(
        self, path: Path, name: str, task: str | None = None, mapping: Mapping[str, str] | None = None
    ) -> DatasetDetail:
        """Stream a file to the backend under the name that the user gave it; `task`: problems to be evaluated on,
        `mapping`: the fields of a `ColumnMapping`."""
        # The length is declared so that a file above the limit is refused before it is sent.
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(path.stat().st_size)}
        with path.open("rb") as file:
            return self._request(
                DatasetDetail,
                "POST",
                "/datasets",
                params=_given({"name": name, "task": task, **(mapping or {})}),
                content=file,
                headers=headers,
            )

    def check(self, path: Path, name: str, mapping: Mapping[str, str] | None = None) -> str:
        """Every problem of a file, as CSV; nothing of it is kept."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(path.stat().st_size)}
        options: dict[str, Any] = {"params": {"name": name, **(mapping or {})}, "headers": headers}
        with path.open("rb") as file, self._answer("POST", "/datasets/checks", content=file, **options) as response:
            return response.read().decode()

    def fetch_dataset(self, source: dict[str, Any]) -> DatasetDetail:
        """Have the backend fetch a split of a data set of the Hub: the fields of a `HubSource`."""
        return self._compute(DatasetDetail, "/datasets/hub", source)

    def dataset(self, dataset_id: str) -> DatasetDetail:
        return self._get(DatasetDetail, f"/datasets/{_part(dataset_id)}")

    def delete_dataset(self, dataset_id: str) -> None:
        with self._answer("DELETE", f"/datasets/{_part(dataset_id)}"):
            pass

    def datasets(self, limit: int | None = None, **narrowed: Any) -> list[DatasetView]:
        """The newest first; `narrowed`: text."""
        return self._pages(DatasetView, "/datasets", limit, **narrowed)

    def preview(self, run: RunSpec | dict[str, Any], start: int = 0, rows: int = 5) -> DatasetPreview:
        """`rows` examples from `start` on, as the run would see them. A dict is checked by the backend."""
        body = run if isinstance(run, dict) else run.model_dump(mode="json")
        return self._compute(DatasetPreview, "/previews", {"run": body, "start": start, "rows": rows})

    def inspect(
        self,
        checkpoints: Sequence[str],
        prompt: str,
        response: str,
        power: float = 0.5,
        masked: Sequence[int] | None = None,
    ) -> Inspection:
        """Entropy, masking rate and rivals of every response token, under each checkpoint; with `masked` positions also
        what is predicted when only those are masked."""
        body = {"checkpoints": list(checkpoints), "prompt": prompt, "response": response, "power": power}
        return self._compute(Inspection, "/inspections", body | _given({"masked": masked}))

    def start_dataset_inspection(
        self, checkpoints: Sequence[str], run: RunSpec | dict[str, Any], **options: int
    ) -> DatasetInspectionView:
        """Begin to look at the run's data; `options`: examples, seed, minimum_count."""
        plain = run if isinstance(run, dict) else run.model_dump(mode="json")
        body = {"checkpoints": list(checkpoints), "run": plain, **options}
        return self._request(DatasetInspectionView, "POST", "/dataset-inspections", json=body)

    def dataset_inspection(self, identity: str) -> DatasetInspectionView:
        """How far it is, and in the end what was found."""
        return self._get(DatasetInspectionView, f"/dataset-inspections/{_part(identity)}")

    def cancel_dataset_inspection(self, identity: str) -> DatasetInspectionView:
        return self._request(DatasetInspectionView, "POST", f"/dataset-inspections/{_part(identity)}/cancel")

    def start_traces(
        self,
        checkpoints: Sequence[str],
        prompt: str,
        sampling: SamplingSpec | dict[str, Any] | None = None,
        seed: int = 1,
        edits: Sequence[Edit | dict[str, Any]] = (),
    ) -> list[TraceView]:
        """Begin to denoise with each checkpoint on the same noise; watch with `trace_events`."""
        body = {"checkpoints": list(checkpoints), "prompt": prompt, "seed": seed, "edits": _plain(edits)}
        if sampling is not None:
            body["sampling"] = sampling if isinstance(sampling, dict) else sampling.model_dump(mode="json")
        return self._request(list[TraceView], "POST", "/traces", json=body)

    def branch(self, trace_id: str, cursor: int, edits: Sequence[Edit | dict[str, Any]] = ()) -> TraceView:
        """Go on from a finished trace after `cursor` of its steps."""
        body = {"cursor": cursor, "edits": _plain(edits)}
        return self._request(TraceView, "POST", f"/traces/{_part(trace_id)}/branches", json=body)

    def trace_events(self, trace_ids: Sequence[str], after: str | None = None) -> Iterator[TraceStreamEvent]:
        """Everything about these traces, or what came after the event id `after`, until all have ended."""
        options = {"params": {"trace": list(trace_ids)}, "headers": _given({"Last-Event-ID": after})}
        with self._answer("GET", "/traces/events", timeout=_STREAMING, **options) as response:
            for fields in _parse_events(response.iter_lines()):
                yield TraceStreamEvent.model_validate(fields)

    def denoise(
        self,
        checkpoints: Sequence[str],
        prompt: str,
        sampling: SamplingSpec | dict[str, Any] | None = None,
        seed: int = 1,
        edits: Sequence[Edit | dict[str, Any]] = (),
    ) -> list[Trace]:
        """`start_traces`, and the traces once they have ended."""
        started = self.start_traces(checkpoints, prompt, sampling, seed, edits)
        return self.finished_traces([view.id for view in started])

    def finished_traces(self, trace_ids: Sequence[str]) -> list[Trace]:
        """Wait for traces; raises `StudioError` with the reason where one failed."""
        for event in self.trace_events(trace_ids):
            if event.data.problems:
                raise StudioError(event.data.problems, 422)
        return [self.trace(identity) for identity in trace_ids]

    def trace(self, trace_id: str) -> Trace:
        return self._get(Trace, f"/traces/{_part(trace_id)}")

    def traces(self, limit: int | None = 20) -> list[TraceView]:
        """Traces that are being made, then finished ones, those used last first."""
        return self._pages(TraceView, "/traces", limit)

    def cancel_trace(self, trace_id: str) -> TraceView:
        return self._request(TraceView, "POST", f"/traces/{_part(trace_id)}/cancel")

    def compare(self, first: str, second: str) -> TraceComparison:
        """Where two finished traces part."""
        return self._get(TraceComparison, "/comparisons", first=first, second=second)

    def evaluate(self, request: EvaluationRequest | dict[str, Any]) -> list[EvaluationView]:
        """Begin an evaluation of each checkpoint, or go on with one that was stopped."""
        body = request if isinstance(request, dict) else request.model_dump(mode="json")
        return self._request(list[EvaluationView], "POST", "/evaluations", json=body)

    def evaluations(self, limit: int | None = 50, **narrowed: Any) -> list[EvaluationView]:
        """The newest first; `narrowed`: state, text."""
        return self._pages(EvaluationView, "/evaluations", limit, **narrowed)

    def evaluation(self, evaluation_id: str, *, scores: bool = True) -> EvaluationDetail:
        """Without `scores` it is there at once, and has no conditions."""
        return self._get(EvaluationDetail, f"/evaluations/{_part(evaluation_id)}", scores=scores)

    def answers(self, evaluation_id: str, condition: int = 0, start: int = 0, limit: int = 50) -> list[AnswerView]:
        """Items with their answers, of one length and seed."""
        path = f"/evaluations/{_part(evaluation_id)}/answers"
        return self._get(list[AnswerView], path, condition=condition, start=start, limit=limit)

    def stop_evaluation(self, evaluation_id: str) -> EvaluationView:
        return self._request(EvaluationView, "POST", f"/evaluations/{_part(evaluation_id)}/stop")

    def compare_evaluations(self, first: str, second: str) -> list[LengthComparison]:
        """The first minus the second, at each length."""
        return self._get(list[LengthComparison], "/evaluation-comparisons", first=first, second=second)

    def _pages(self, kind: type[T], path: str, limit: int | None, **parameters: Any) -> list[T]:
        """The first `limit` of a list, page by page."""
        found: list[T] = []
        cursor = None
        while limit is None or len(found) < limit:
            size = _PAGE if limit is None else min(_PAGE, limit - len(found))
            page = self._get(Page[kind], path, limit=size, cursor=cursor, **parameters)  # type: ignore[valid-type]
            found += page.items
            cursor = page.next
            if cursor is None:
                break
        return found

    def _get(self, kind: type[T], path: str, /, **parameters: Any) -> T:
        return self._request(kind, "GET", path, params=_given(parameters))

    def _text(self, path: str, **parameters: Any) -> str:
        with self._answer("GET", path, params=parameters) as response:
            return response.read().decode()

    def _request(self, kind: type[T], method: str, path: str, **options: Any) -> T:
        with self._answer(method, path, **options) as response:
            try:
                return TypeAdapter(kind).validate_json(response.read())
            except ValidationError as error:
                problem = Problem(
                    f"The backend at {self._base_url} answered {path} in a form this front end does not know.",
                    remedy="Run the same version of both.",
                )
                raise StudioError([problem], response.status_code) from error

    def _compute(self, kind: type[T], path: str, body: object, **options: Any) -> T:
        return self._request(kind, "POST", path, json=body, timeout=_COMPUTING, **options)

    @contextmanager
    def _answer(self, method: str, path: str, **options: Any) -> Iterator[httpx.Response]:
        """A successful answer, not yet read."""
        headers = {**self._credentials(), **options.pop("headers", {})}
        try:
            with self._http.stream(method, path, headers=headers, **options) as response:
                if response.is_error:
                    response.read()
                    raise _refusal(response)
                yield response
        except httpx.TimeoutException as error:
            raise self._silence("takes too long to answer", "Try again; its log may say what it is doing.") from error
        except httpx.TransportError as error:
            raise self._silence(
                "does not answer", "Start it with `make run`, or correct GIFT_API_URL if it runs elsewhere."
            ) from error

    def _silence(self, what: str, remedy: str) -> StudioError:
        return StudioError([Problem(f"The backend at {self._base_url} {what}.", remedy=remedy)], status=0)


def _refusal(response: httpx.Response) -> StudioError:
    try:
        problems = ProblemDocument.model_validate_json(response.content).problems
    except ValidationError:
        # Something else answered, such as a proxy in between.
        problems = [Problem(f"{response.url} answered {response.status_code} {response.reason_phrase}.")]
    return StudioError(problems, response.status_code)


def _parse_events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The fields of each server-sent event, its data decoded."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield {**fields, "data": json.loads(fields["data"])}
            fields = {}


def _part(identifier: str) -> str:
    """One part of a path: an id comes from a link, and must not turn into another address."""
    return quote(identifier, safe="")


def _plain(edits: Sequence[Edit | dict[str, Any]]) -> list[dict[str, Any]]:
    return [edit if isinstance(edit, dict) else edit.model_dump(mode="json") for edit in edits]


def _given(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}
