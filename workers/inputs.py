"""What a job needs of others: the runs whose weights it reads, and the data sets."""

from __future__ import annotations

from dataclasses import dataclass

from gift_core.data_spec import FileSource
from gift_core.spec import RunSpec
from workers.kinds import KINDS
from workers.orders import DatasetOrder, DenoiseOrder, EvaluationOrder, ExportOrder, UploadedItems
from workers.records import Job, JobKind


@dataclass(frozen=True)
class Inputs:
    """Ids. Those of `checkpoints` may also be names of base models, which every host has or fetches by itself."""

    checkpoints: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()


def inputs_of(job: Job) -> Inputs:
    """From what the job was asked with; raises `SpecError` for a spec that this version cannot read."""
    match KINDS[JobKind(job.kind)].request.parse(job.spec):
        case RunSpec() as run:
            start = run.model.start_from
            return Inputs((start,) if start else (), _uploaded(run))
        case EvaluationOrder(checkpoint=checkpoint, source=source):
            return Inputs((checkpoint,), (source.dataset,) if isinstance(source, UploadedItems) else ())
        case DatasetOrder(checkpoints=checkpoints, run=run):
            return Inputs(checkpoints, _uploaded(run))
        case DenoiseOrder(checkpoint=checkpoint):
            return Inputs((checkpoint,))
        case ExportOrder(run=run_id):
            return Inputs((run_id,))
    return Inputs()


def _uploaded(run: RunSpec) -> tuple[str, ...]:
    source = run.data.source
    return (source.dataset,) if isinstance(source, FileSource) else ()
