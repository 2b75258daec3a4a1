"""Exports for the commands to watch and to fetch."""

from __future__ import annotations

from workers.kinds import EXPORTED
from workers.orders import ExportOrder
from workers.records import JobKind


def exported(studio, trainer, run, files, finished=True):
    """An export that has finished, as a worker leaves it."""
    trainer.start(run)
    trainer.finish(run)
    order = ExportOrder(run=run.id)
    job = studio.submit(studio.new_job(JobKind.EXPORT, order.id, "export", order))
    for name, content in files.items():
        path = studio.files(job) / EXPORTED / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    trainer.start(job)
    if finished:
        trainer.finish(job)
    return job
