"""The kinds of jobs: what each is asked with, where its files lie, and what it needs.

What a kind does is in the module of its name, which only the job's own process imports: `run(request, context)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gift_core.section import Section
from gift_core.spec import RunSpec
from workers.orders import DatasetOrder, DenoiseOrder, EvaluationOrder, ExportOrder, PushSpec
from workers.records import Job, JobKind

# What is in a job's directory, besides what every job has: an evaluation's answers, what was found in a data set,
# responses to prompts, an exported model.
ANSWERS = "answers"
FOUND = "inspection.json"
RESPONSES = "responses.jsonl"
EXPORTED = "model"


@dataclass(frozen=True)
class Kind:
    """`request` is what a job's `spec` holds, `folder` where its files lie below the data folder. One that
    `needs_device` waits for one wherever there are GPUs; training waits for one always."""

    request: type[Section]
    folder: str
    needs_device: bool = True


KINDS: dict[JobKind, Kind] = {
    JobKind.TRAIN: Kind(RunSpec, "runs"),
    JobKind.EVALUATE: Kind(EvaluationOrder, "evaluations"),
    JobKind.INSPECT: Kind(DatasetOrder, "inspections"),
    JobKind.DENOISE: Kind(DenoiseOrder, "responses"),
    JobKind.EXPORT: Kind(ExportOrder, "exports", needs_device=False),
    JobKind.PUSH: Kind(PushSpec, "pushes", needs_device=False),
}


def job_directory(data: Path, job: Job) -> Path:
    """Where a job's files are or will be."""
    return data / KINDS[JobKind(job.kind)].folder / job.id
