"""Looks at whole data sets for the pages: jobs, each kept under what it was asked for."""

from __future__ import annotations

from pydantic import ValidationError

from gift_core.dataset_document import DatasetInspection
from workers.dataset_uses import with_kept_data
from workers.kinds import FOUND
from workers.launch_checks import require_examples
from workers.models import ModelShelf
from workers.orders import DatasetOrder
from workers.records import Job, JobKind, JobState, StopMode
from workers.store import NotFoundError
from workers.studio import Studio


class DatasetInspectionService:
    """Looks at the data sets of one studio."""

    def __init__(self, studio: Studio, shelf: ModelShelf) -> None:
        self._studio = studio
        self._shelf = shelf

    def start(self, order: DatasetOrder, by: str = "") -> Job:
        """Begin what was not begun before; raises `ModelError` or `DataError` where a checkpoint or a data set is
        unknown, `ConflictError` when too many wait already."""
        data = with_kept_data(order.run.data, self._studio.datasets)
        order = order.model_copy(update={"run": order.run.model_copy(update={"data": data})})
        checkpoints = [self._shelf.checkpoint(name) for name in order.checkpoints]
        if self._studio.missing([order.id]):
            require_examples(self._studio, order, checkpoints)
        labels = tuple(checkpoint.label for checkpoint in checkpoints)
        named = order.model_copy(update={"labels": labels})
        job = self._studio.new_job(JobKind.INSPECT, order.id, " · ".join(labels), named)
        known = self._studio.submit(job, by)
        if known.state == JobState.FINISHED and self.result(known) is None:
            # Its file was removed.
            self._studio.store.remove(known.id)
            known = self._studio.submit(job, by)
        return known

    def job(self, identity: str) -> Job:
        """Raises `NotFoundError`."""
        job = self._studio.store.job(identity)
        if job.kind != JobKind.INSPECT:
            raise NotFoundError(f"Nothing is known of {identity!r}.", remedy="Check the link, or look again.")
        return job

    def result(self, job: Job) -> DatasetInspection | None:
        """What was found, once it has finished."""
        if job.state != JobState.FINISHED:
            return None
        try:
            return DatasetInspection.model_validate_json((self._studio.files(job) / FOUND).read_bytes())
        except (OSError, ValidationError):
            return None

    def cancel(self, identity: str, by: str = "") -> Job:
        """Stop after the batch it is in; leaves an ended one alone. Raises `NotFoundError`."""
        return self._studio.stop(self.job(identity).id, by, StopMode.DISCARD)
