"""Evaluations for the pages: jobs whose answers are scored when somebody looks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workers.fairness.keyed_locks import KeyedLocks
from workers.fairness.requester import STUDIO, Requester
from workers.fairness.semaphore import FairSemaphore
from workers.kinds import ANSWERS
from workers.launch_checks import require_plan
from workers.models import ModelShelf
from workers.observations import JobFilter
from workers.orders import EvaluationOrder
from workers.records import Job, JobKind, JobState, StopMode
from workers.store import NotFoundError
from workers.studio import Studio

if TYPE_CHECKING:
    from gift_core.evaluation_report import Evaluation

# So many evaluations are kept with their scores.
_SCORED = 8


class EvaluationService:
    """Evaluations of one studio."""

    def __init__(self, studio: Studio, shelf: ModelShelf) -> None:
        self._studio = studio
        self._shelf = shelf
        self._read: OrderedDict[str, tuple[object, Evaluation]] = OrderedDict()
        self._scoring = FairSemaphore()
        # Items may have to be fetched or made: once for all who ask for the same at the same time.
        self._checking = KeyedLocks()

    def start(self, orders: Sequence[EvaluationOrder], by: str = "") -> list[Job]:
        """Begin evaluations, or go on with those that were stopped; finished ones are there at once.

        Raises a `GiftError` where one could not be begun; then none is.
        """
        checkpoints = [self._shelf.checkpoint(order.checkpoint) for order in orders]
        for order, checkpoint in zip(orders, checkpoints, strict=True):
            plan = order.plan(self._studio.datasets.path)
            # What is there, or has begun, needs its items no more.
            if self._studio.missing([order.id]):
                with self._checking.held(f"{plan.task} {plan.source}"):
                    require_plan(self._studio, plan, checkpoint)
        jobs = [
            self._studio.new_job(JobKind.EVALUATE, order.id, checkpoint.label, order)
            for order, checkpoint in zip(orders, checkpoints, strict=True)
        ]
        return [self._studio.submit(job, by) for job in jobs]

    def jobs(
        self,
        limit: int = 50,
        after: tuple[float, int, str] | None = None,
        *,
        states: frozenset[JobState] = frozenset(),
        text: str | None = None,
    ) -> list[Job]:
        """The newest first; see `Observations.jobs`."""
        wanted = JobFilter(kind=JobKind.EVALUATE, states=states, text=text)
        return self._studio.store.jobs(wanted, limit=limit, after=after)

    def job(self, identity: str) -> Job:
        """Raises `NotFoundError`."""
        job = self._studio.store.job(identity)
        if job.kind != JobKind.EVALUATE:
            raise NotFoundError(f"There is no evaluation {identity!r}.", remedy="Check the link, or evaluate again.")
        return job

    def evaluation(self, identity: str, asked_by: Requester = STUDIO) -> Evaluation | None:
        """The answers there are, scored; None before there is any. Raises `NotFoundError`."""
        from gift_core.evaluation_files import HEADER_FILE
        from gift_core.evaluation_report import Evaluation

        folder = self._studio.files(self.job(identity)) / ANSWERS
        if not (folder / HEADER_FILE).exists():
            return None
        # Pages ask again and again, and scoring a long list takes seconds.
        state = tuple((path.name, path.stat().st_size) for path in sorted(folder.glob("*.jsonl")))
        with self._scoring.held(asked_by):
            known = self._read.pop(identity, None)
            if known is None or known[0] != state:
                known = (state, Evaluation.read(folder))
            self._read[identity] = known
            while len(self._read) > _SCORED:
                self._read.popitem(last=False)
        return known[1]

    def stop(self, identity: str, by: str = "") -> Job:
        """Stop an evaluation after its step; the answers it has stay. Raises `NotFoundError`."""
        return self._studio.stop(self.job(identity).id, by, StopMode.SAVE)
