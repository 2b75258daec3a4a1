"""The one way from the front end to the backend: a typed method for everything that its pages ask for.

What only commands ask for is in `ui/commands/client.py`; accounts, keys and signing in have no methods.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from api.account_views import SessionView
from api.dataset_views import DatasetCatalogue, DatasetDetail, UploadAllowance
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
    RunDetail,
    RunEvent,
    RunView,
    TraceStreamEvent,
    TraceView,
)
from gift_core.comparison import TraceComparison
from gift_core.documents import DatasetPreview, Inspection
from gift_core.evaluation_document import LengthComparison
from gift_core.preflight_document import PreflightReport
from gift_core.spec import ExperimentSpec, RunSpec, SamplingSpec
from gift_core.trace import Edit, Trace
from ui.connection import STREAMING, Connection, StudioError, given, parse_events, part

StudioEvent = Annotated[
    RunEvent | MetricsEvent | JobEvent | QueueEvent | TraceStreamEvent, Field(discriminator="event")
]
_EVENT: TypeAdapter[StudioEvent] = TypeAdapter(StudioEvent)


class StudioClient(Connection):
    """Everything that can be asked of the backend."""

    def session(self) -> SessionView:
        """Who the backend takes this client for."""
        return self._get(SessionView, "/session")

    def upload_allowance(self) -> UploadAllowance:
        """How large a file may be that is about to be sent."""
        return self._request(UploadAllowance, "POST", "/datasets/allowances")

    def models(self) -> list[ModelView]:
        return self._get(list[ModelView], "/models")

    def dataset_catalogue(self) -> DatasetCatalogue:
        return self._get(DatasetCatalogue, "/catalogue/datasets")

    def presets(self) -> dict[str, ExperimentSpec]:
        return self._get(dict[str, ExperimentSpec], "/presets")

    def checkpoints(self) -> list[CheckpointView]:
        return self._get(list[CheckpointView], "/checkpoints")

    def examples(self, count: int = 5) -> list[ExampleView]:
        """`count` held-out examples of each built-in task."""
        return self._get(list[ExampleView], "/examples", count=count)

    def create_experiment(
        self, spec: ExperimentSpec | dict[str, Any], key: str, **queued: int | str
    ) -> ExperimentDetail:
        """Launch; the same `key` again returns what it created. A dict is checked by the backend.

        `queued`: priority, devices, device, stop_on_failure.
        """
        body = spec if isinstance(spec, dict) else spec.model_dump(mode="json")
        return self._create(ExperimentDetail, "/experiments", body, key, params=queued)

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
        return self._get(ExperimentDetail, f"/experiments/{part(experiment_id)}")

    def runs(
        self, experiment_id: str | None = None, state: str | None = None, limit: int | None = 100, **narrowed: Any
    ) -> list[RunView]:
        """Those of the newest experiment first; `narrowed`: created_by, text."""
        return self._pages(RunView, "/runs", limit, experiment=experiment_id, state=state, **narrowed)

    def run(self, run_id: str) -> RunDetail:
        return self._get(RunDetail, f"/runs/{part(run_id)}")

    def stop(self, run_id: str) -> RunView:
        return self._request(RunView, "POST", f"/runs/{part(run_id)}/stop")

    def jobs(self, cursor: str | None = None, limit: int = 50, **narrowed: Any) -> Page[JobView]:
        """Jobs of every kind, the newest first; `narrowed`: kind, state, ended, experiment, created_by, text."""
        return self._get(Page[JobView], "/jobs", cursor=cursor, limit=limit, **narrowed)

    def job(self, job_id: str) -> JobDetail:
        return self._get(JobDetail, f"/jobs/{part(job_id)}")

    def stop_job(self, job_id: str, mode: Literal["save", "discard"] = "save") -> JobView:
        """Ask a job to stop, and to save what it has or to discard it."""
        return self._request(JobView, "POST", f"/jobs/{part(job_id)}/stop", json={"mode": mode})

    def resume_job(self, job_id: str) -> JobView:
        """Go on with a job that ended without finishing."""
        return self._request(JobView, "POST", f"/jobs/{part(job_id)}/resume")

    def retry_job(self, job_id: str) -> JobView:
        """Begin a job again at step 0; `undo_job` brings back what it had until it has a checkpoint again."""
        return self._request(JobView, "POST", f"/jobs/{part(job_id)}/retry")

    def undo_job(self, job_id: str) -> JobView:
        """Bring back what a job had before it was discarded, or before it started over."""
        return self._request(JobView, "POST", f"/jobs/{part(job_id)}/undo")

    def clone_job(
        self,
        job_id: str,
        changes: Mapping[str, Any] | None = None,
        name: str = "",
        *,
        token: str | None = None,
        key: str | None = None,
    ) -> JobView:
        """The same again with dotted fields of its spec changed: a run in an experiment of its own, called `name`.

        `token` is for a clone of an upload to the Hub. The same `key` again makes no second one.
        """
        body = {"changes": dict(changes or {}), "name": name, "token": token}
        return self._create(JobView, f"/jobs/{part(job_id)}/clone", body, key)

    def continue_job(self, job_id: str, epochs: int, *, key: str | None = None) -> JobView:
        """Train a run's weights for more epochs, as a new run of its experiment."""
        return self._create(JobView, f"/jobs/{part(job_id)}/continue", {"epochs": epochs}, key)

    def change_job(self, job_id: str, **change: Any) -> JobView:
        """`change`: priority, before (another's id), first, last, pinned."""
        return self._request(JobView, "PATCH", f"/jobs/{part(job_id)}", json=change)

    def delete_job(self, job_id: str) -> None:
        """Forget an ended job and its files."""
        with self._answer("DELETE", f"/jobs/{part(job_id)}"):
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

    def log(self, job_id: str, tail_bytes: int = 64_000) -> str:
        """The end of a job's log."""
        return self.log_part(job_id, None, tail_bytes)[0]

    def log_part(self, job_id: str, offset: int | None = None, size: int = 64_000) -> tuple[str, int]:
        """At most `size` bytes of a job's log from the byte `offset` on, or its end, and the byte where it goes on."""
        options = {"params": given({"offset": offset, "tail_bytes": size})}
        with self._answer("GET", f"/jobs/{part(job_id)}/log", **options) as response:
            return response.read().decode(), int(response.headers["Next-Offset"])

    def spec(self, run_id: str) -> str:
        """The run's spec as YAML."""
        return self._text(f"/runs/{part(run_id)}/spec")

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
        options = {"params": {"topic": list(topics)}, "headers": given({"Last-Event-ID": after})}
        with self._answer("GET", "/events", timeout=STREAMING, **options) as response:
            for fields in parse_events(response.iter_lines()):
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
                params=given({"name": name, "task": task, **(mapping or {})}),
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
        """Have the backend fetch a split of a data set of the Hub: the fields of a `HubSource`, which may be a short
        name of the catalogue alone."""
        return self._compute(DatasetDetail, "/datasets/hub", source)

    def dataset(self, dataset_id: str) -> DatasetDetail:
        return self._get(DatasetDetail, f"/datasets/{part(dataset_id)}")

    def delete_dataset(self, dataset_id: str) -> None:
        with self._answer("DELETE", f"/datasets/{part(dataset_id)}"):
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
        *,
        compute: bool = True,
    ) -> Inspection:
        """Entropy, masking rate and rivals of every response token, under each checkpoint; with `masked` positions also
        what is predicted when only those are masked. Without `compute` only a recorded one is returned, else a 404."""
        body = {"checkpoints": list(checkpoints), "prompt": prompt, "response": response, "power": power}
        return self._compute(Inspection, "/inspections", body | given({"masked": masked}), params={"compute": compute})

    def start_dataset_inspection(
        self, checkpoints: Sequence[str], run: RunSpec | dict[str, Any], **options: int
    ) -> DatasetInspectionView:
        """Begin to look at the run's data; `options`: examples, seed, minimum_count."""
        plain = run if isinstance(run, dict) else run.model_dump(mode="json")
        body = {"checkpoints": list(checkpoints), "run": plain, **options}
        return self._request(DatasetInspectionView, "POST", "/dataset-inspections", json=body)

    def dataset_inspection(self, identity: str) -> DatasetInspectionView:
        """How far it is, and in the end what was found."""
        return self._get(DatasetInspectionView, f"/dataset-inspections/{part(identity)}")

    def cancel_dataset_inspection(self, identity: str) -> DatasetInspectionView:
        return self._request(DatasetInspectionView, "POST", f"/dataset-inspections/{part(identity)}/cancel")

    def start_traces(
        self,
        checkpoints: Sequence[str],
        prompt: str,
        sampling: SamplingSpec | dict[str, Any] | None = None,
        seed: int = 1,
        edits: Sequence[Edit | dict[str, Any]] = (),
        *,
        compute: bool = True,
    ) -> list[TraceView]:
        """Begin to denoise with each checkpoint on the same noise; watch with `trace_events`.

        Without `compute` only traces that were begun before are returned, and a missing one is a 404.
        """
        body = {"checkpoints": list(checkpoints), "prompt": prompt, "seed": seed, "edits": _plain(edits)}
        if sampling is not None:
            body["sampling"] = sampling if isinstance(sampling, dict) else sampling.model_dump(mode="json")
        return self._request(list[TraceView], "POST", "/traces", json=body, params={"compute": compute})

    def branch(self, trace_id: str, cursor: int, edits: Sequence[Edit | dict[str, Any]] = ()) -> TraceView:
        """Go on from a finished trace after `cursor` of its steps."""
        body = {"cursor": cursor, "edits": _plain(edits)}
        return self._request(TraceView, "POST", f"/traces/{part(trace_id)}/branches", json=body)

    def trace_events(self, trace_ids: Sequence[str], after: str | None = None) -> Iterator[TraceStreamEvent]:
        """Everything about these traces, or what came after the event id `after`, until all have ended."""
        options = {"params": {"trace": list(trace_ids)}, "headers": given({"Last-Event-ID": after})}
        with self._answer("GET", "/traces/events", timeout=STREAMING, **options) as response:
            for fields in parse_events(response.iter_lines()):
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
        return self._get(Trace, f"/traces/{part(trace_id)}")

    def traces(self, limit: int | None = 20) -> list[TraceView]:
        """Traces that are being made, then finished ones, those used last first."""
        return self._pages(TraceView, "/traces", limit)

    def cancel_trace(self, trace_id: str) -> TraceView:
        return self._request(TraceView, "POST", f"/traces/{part(trace_id)}/cancel")

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
        return self._get(EvaluationDetail, f"/evaluations/{part(evaluation_id)}", scores=scores)

    def answers(self, evaluation_id: str, condition: int = 0, start: int = 0, limit: int = 50) -> list[AnswerView]:
        """Items with their answers, of one length and seed."""
        path = f"/evaluations/{part(evaluation_id)}/answers"
        return self._get(list[AnswerView], path, condition=condition, start=start, limit=limit)

    def stop_evaluation(self, evaluation_id: str) -> EvaluationView:
        return self._request(EvaluationView, "POST", f"/evaluations/{part(evaluation_id)}/stop")

    def compare_evaluations(self, first: str, second: str) -> list[LengthComparison]:
        """The first minus the second, at each length."""
        return self._get(list[LengthComparison], "/evaluation-comparisons", first=first, second=second)


def _plain(edits: Sequence[Edit | dict[str, Any]]) -> list[dict[str, Any]]:
    return [edit if isinstance(edit, dict) else edit.model_dump(mode="json") for edit in edits]
