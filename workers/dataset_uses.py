"""Jobs and the data sets they read: kept by the studio, and not deleted before a job that needs one has read it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gift_core.data_spec import ColumnMapping, DataSpec, FileSource, HubSource
from gift_core.errors import SpecError
from workers.datasets import DatasetStore
from workers.inputs import inputs_of
from workers.observations import JobFilter
from workers.records import ACTIVE, JobState
from workers.store import JobStore


def with_kept_data(data: DataSpec, datasets: DatasetStore) -> DataSpec:
    """The same data as the studio keeps it; a split of the Hub that was fetched before becomes a file.

    Raises `SpecError` for a split that the studio does not have: a job reads what is kept and downloads nothing.
    """
    if not isinstance(data.source, HubSource):
        return data
    kept = datasets.fetched(data.source)
    if kept is None:
        raise SpecError(
            f"{data.source.dataset} has not been fetched yet.",
            field="data.source.dataset",
            remedy="Fetch it first, on the launch page or with POST /api/v1/datasets/hub; or upload the file, and give "
            "the data set's id.",
        )
    return data.model_copy(update={"source": as_file(data.source, kept.id)})


def as_file(source: HubSource, dataset_id: str) -> FileSource:
    """The source that reads a data set of the studio by the columns that were named for the Hub's."""
    mapping = source.model_dump(include=set(ColumnMapping.model_fields))
    return FileSource.model_validate({"dataset": dataset_id, **mapping})


def file_of(data: DataSpec, datasets: DatasetStore) -> Path | None:
    """Return the file that kept data are read from; None for those that a task makes. Raises `DataError` where there is
    no such data set."""
    return datasets.path(data.source.dataset).absolute() if isinstance(data.source, FileSource) else None


def jobs_in_need(store: JobStore, dataset_id: str) -> Sequence[str]:
    """The ids of the jobs that wait or run and read this data set."""
    jobs = store.jobs(JobFilter(states=ACTIVE | {JobState.QUEUED}), limit=None)
    return [job.id for job in jobs if dataset_id in inputs_of(job).datasets]
