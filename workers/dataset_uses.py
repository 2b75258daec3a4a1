"""Who still needs a data set: it is not deleted under a run that has yet to read it."""

from __future__ import annotations

from collections.abc import Sequence

from workers.records import RunState
from workers.store import RunStore

_NEEDING = (RunState.QUEUED, RunState.RUNNING, RunState.STOPPING)


def runs_in_need(store: RunStore, dataset_id: str) -> Sequence[str]:
    """The ids of the runs that wait or train and learn from this data set."""
    runs = (run for state in _NEEDING for run in store.runs(state=state, limit=None))
    return [run.id for run in runs if run.spec["data"]["source"].get("dataset") == dataset_id]
