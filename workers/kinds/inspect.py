"""Looking at a whole data set under some checkpoints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from gift_core.data.sources import load_split
from gift_core.dataset_inspection import DatasetOptions, inspect_dataset
from gift_core.errors import StoppedError
from gift_core.models.loading import DiffusionModel
from gift_core.reporting import write_atomically
from workers.context import JobContext
from workers.kinds import FOUND
from workers.orders import DatasetOrder

_TOKENS_AT_ONCE = 4096
# Tokens at either end: as many as one can compare by eye.
_LISTED = 12


def run(order: DatasetOrder, context: JobContext) -> dict[str, Any]:
    """Probe the examples with each checkpoint, one checkpoint after the other."""
    opened = 0

    def models() -> Iterator[tuple[str, str, DiffusionModel]]:
        nonlocal opened
        for checkpoint, label in zip(order.checkpoints, order.labels, strict=True):
            opened += 1
            yield checkpoint, label, context.model(checkpoint)

    def progress(_: str, done: int, total: int) -> None:
        if context.stop():
            raise StoppedError("Stopped by request.")
        probes = total * len(order.checkpoints)
        line = {"step": total * (opened - 1) + done, "total_steps": probes, "values": {}}
        context.report(line | {"time": time.time(), "phase": "probing", "eta_seconds": None})

    examples = load_split(order.run.data, context.dataset).training
    options = DatasetOptions(
        examples=order.examples,
        seed=order.seed,
        minimum_count=order.minimum_count,
        listed=_LISTED,
        tokens_at_once=_TOKENS_AT_ONCE,
    )
    found = inspect_dataset(models(), examples, order.run, options, progress)
    write_atomically(context.directory / FOUND, found.model_dump_json())
    return {"examples": found.examples}
