"""Writing a finished run as other programs load it."""

from __future__ import annotations

from typing import Any

from gift_core.errors import SpecError
from gift_core.export import ExportOptions, export
from workers.context import JobContext
from workers.kinds import EXPORTED
from workers.orders import ExportOrder


def run(order: ExportOrder, context: JobContext) -> dict[str, Any]:
    """Write the folder, whole or not at all."""
    return write(order, context, location=".")


def write(order: ExportOrder, context: JobContext, location: str) -> dict[str, Any]:
    """The same, with a model card that loads the run from `location`."""
    runs = context.data / "runs"
    if order.run not in (path.name for path in runs.iterdir()):
        raise SpecError(f"The files of {order.run} are not there any more.", field="run", remedy="Train it again.")
    target = context.directory / EXPORTED
    exported = export(runs / order.run, target, ExportOptions(order.layout, order.dtype, location))
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    return {"layout": exported.layout, "bytes": size}
