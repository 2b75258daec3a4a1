"""The recorded experiment: a small pair of runs, with what they say and how they answer, that a new studio shows before
anything was trained in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from gift_core.data_spec import DataSpec, TaskSource
from gift_core.documents import Inspection
from gift_core.reporting import CHECKPOINT, Line, write_atomically
from gift_core.spec import ExperimentSpec, LoraSpec, ObjectiveSpec, RunSpec, SamplingSpec, TrainingSpec
from gift_core.trace import Trace

RECORDING_FILE = "recording.json"
RUNS = "runs"
_BASE = "tiny"
# Of each task, so many held-out problems are inspected and denoised.
_PROBLEMS = 1
_SEED = 1


class InspectionRequest(BaseModel):
    """What an inspection was asked for; `checkpoints` are ids."""

    model_config = ConfigDict(frozen=True)

    checkpoints: tuple[str, ...]
    prompt: str
    response: str
    power: float


class RecordedInspection(BaseModel):
    request: InspectionRequest
    inspection: Inspection


class Recording(BaseModel):
    """An experiment, the ids of its runs in the order of `experiment.expand()`, and answers that were kept."""

    experiment: ExperimentSpec
    runs: tuple[str, ...]
    inspections: list[RecordedInspection]
    traces: list[Trace]

    @classmethod
    def bundled(cls) -> Recording:
        """The one that comes with the package."""
        return cls.model_validate_json((recording_directory() / RECORDING_FILE).read_text("utf-8"))


def recording_directory() -> Path:
    """Where the bundled recording lies: `recording.json`, and a folder for each run below `runs`."""
    return Path(str(resources.files("gift_core") / "assets" / "recorded"))


def recorded_experiment() -> ExperimentSpec:
    """SFT and GIFT adapters on a task of several steps: small files, and something to see."""
    return ExperimentSpec(
        name="Recorded example: word problems",
        run=RunSpec(
            data=DataSpec(source=TaskSource(task="word_problems")),
            training=TrainingSpec(
                epochs=8, batch_size=32, learning_rate=1e-3, adapter="lora", lora=LoraSpec(rank=8, alpha=16)
            ),
        ),
    )


def record(target: Path, listener: Callable[[str, Line], None] = lambda *_: None) -> Recording:
    """Train the recorded experiment anew and write everything to `target`."""
    from gift_core.run import RunOptions, run_training

    experiment = recorded_experiment()
    ids = tuple(f"run_recorded_{spec.objective.method}" for _, spec in experiment.expand())
    for identity, (label, spec) in zip(ids, experiment.expand(), strict=True):
        directory = target / RUNS / identity
        shutil.rmtree(directory, ignore_errors=True)
        run_training(spec, directory, Path, RunOptions(listener=partial(listener, label)))
    inspections, traces = _answers(target, experiment, ids)
    recording = Recording(experiment=experiment, runs=ids, inspections=inspections, traces=traces)
    write_atomically(target / RECORDING_FILE, recording.model_dump_json())
    return recording


def _answers(
    target: Path, experiment: ExperimentSpec, ids: tuple[str, ...]
) -> tuple[list[RecordedInspection], list[Trace]]:
    """What the base and the runs say to the problems that the pages offer first, with the pages' own settings."""
    from gift_core.data.sources import task_problems
    from gift_core.inspection import inspect
    from gift_core.models.catalogue import BUNDLED_MODELS
    from gift_core.models.loading import load_base, load_checkpoint
    from gift_core.tasks.registry import TASKS
    from gift_core.tracing import trace

    title = next(entry.title for entry in BUNDLED_MODELS if entry.name == _BASE)
    models = [(_BASE, title, load_base(_BASE))]
    models += [
        (identity, label, load_checkpoint(target / RUNS / identity / CHECKPOINT))
        for identity, (label, _) in zip(ids, experiment.expand(), strict=True)
    ]
    checkpoints = tuple(identity for identity, *_ in models)
    problems = [problem for task in TASKS for problem in task_problems(TaskSource(task=task, examples=1), _PROBLEMS)[1]]
    objective, sampling = ObjectiveSpec(), SamplingSpec()
    inspections = [
        RecordedInspection(
            request=InspectionRequest(
                checkpoints=checkpoints, prompt=problem.prompt, response=problem.response, power=objective.power
            ),
            inspection=inspect(models, problem.prompt, problem.response, objective),
        )
        for problem in problems
    ]
    traces = [
        trace(model, problem.prompt, sampling, _SEED, checkpoint=identity, label=label)
        for problem in problems
        for identity, label, model in models
    ]
    return inspections, traces
