"""Jobs and the data sets they read: kept by the studio, and not deleted under a job that has yet to read one."""

from __future__ import annotations

from collections.abc import Sequence

from gift_core.data_spec import DataSpec, HubSource
from gift_core.errors import SpecError
from workers.inputs import inputs_of
from workers.observations import JobFilter
from workers.records import ACTIVE, JobState
from workers.store import JobStore


def require_kept(data: DataSpec) -> None:
    """Raise `SpecError` for data that the process which trains could not fetch: it is kept off the network."""
    if isinstance(data.source, HubSource):
        raise SpecError(
            "A studio trains on data sets that it keeps.",
            field="data.source.kind",
            remedy="Fetch it first, with POST /api/v1/datasets/hub or on the launch page; then give the data set's id.",
        )


def jobs_in_need(store: JobStore, dataset_id: str) -> Sequence[str]:
    """The ids of the jobs that wait or run and read this data set."""
    jobs = store.jobs(JobFilter(states=ACTIVE | {JobState.QUEUED}), limit=None)
    return [job.id for job in jobs if dataset_id in inputs_of(job).datasets]
