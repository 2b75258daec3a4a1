"""Training a run."""

from __future__ import annotations

from gift_core.run import RunOptions, run_training
from gift_core.spec import RunSpec
from workers.context import RATES, JobContext


def run(spec: RunSpec, context: JobContext) -> None:
    """Train, or go on from the last checkpoint. The library leaves the result itself."""
    options = RunOptions(
        listener=context.report,
        rate_cache=context.data / RATES,
        resume=context.resume,
        resolve_run=context.run,
        should_stop=context.stop,
        save_when_stopped=context.keep_result,
    )
    run_training(spec, context.directory, context.dataset, options)
