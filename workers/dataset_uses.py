"""Runs and the data sets they learn from: kept by the studio, and not deleted under a run that has yet to read one."""

from __future__ import annotations

from collections.abc import Sequence

from gift_core.errors import SpecError
from gift_core.spec import DataSpec, HubSource
from workers.records import RunState
from workers.store import RunStore

_NEEDING = (RunState.QUEUED, RunState.RUNNING, RunState.STOPPING)


def require_kept(data: DataSpec) -> None:
    """Raise `SpecError` for data that the process which trains could not fetch: it is kept off the network."""
    if isinstance(data.source, HubSource):
        raise SpecError(
            "A studio trains on data sets that it keeps.",
            field="data.source.kind",
            remedy="Fetch it first, with POST /api/v1/datasets/hub or on the launch page; then give the data set's id.",
        )


def runs_in_need(store: RunStore, dataset_id: str) -> Sequence[str]:
    """The ids of the runs that wait or train and learn from this data set."""
    runs = (run for state in _NEEDING for run in store.runs(state=state, limit=None))
    return [run.id for run in runs if run.spec["data"]["source"].get("dataset") == dataset_id]
