"""Runs that others start from."""

from __future__ import annotations

from gift_core.errors import SpecError
from gift_core.spec import RunSpec
from workers.store import JobStore


def require_trained(store: JobStore, spec: RunSpec) -> None:
    """Raise `SpecError` where a run is to start from one that has left no weights, or weights of another kind."""
    start = spec.model.start_from
    if start is None:
        return
    run = store.trained_run(start)
    if run is None:
        raise SpecError(
            "There is no run with that id that has left weights.",
            field="model.start_from",
            remedy="Give the id of a finished run, or leave it out to start from the base.",
        )
    differ = [
        name
        for name in RunSpec.parse(run.spec).differences(spec)
        if name in ("model.name", "training.adapter") or name.startswith("training.lora.")
    ]
    if differ:
        raise SpecError(
            f"The weights of {run.label} are of another kind: {', '.join(differ)} differ.",
            field=differ[0],
            remedy="Set these to what that run had.",
        )
