"""What is said of jobs, and by what: shared by the tests of notifications and of webhooks."""

from __future__ import annotations

from gift_core.spec import ExperimentSpec
from workers.metrics import MetricLine
from workers.notifications import Notifier
from workers.outbox import Outbox
from workers.records import Job, JobState
from workers.store import JobStore

NAN = {"code": "nan_loss", "message": "The loss is <NaN> & worse.", "field": "", "remedy": "Lower the rate."}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def notifier(store: JobStore, *targets: str, stall: float = 600.0) -> Notifier:
    return Notifier(store, Outbox(store.database), targets or ("one",), stall, 0.1)


def begin(store: JobStore) -> Job:
    """A run that a worker has taken."""
    if not store.waiting():
        store.create_experiment(ExperimentSpec(), None)
    taken = store.claim("w", "here", lambda waiting, _: waiting[0])
    assert taken
    return taken


def report(store: JobStore, job: Job, step: int, **values: float) -> None:
    line = MetricLine(number=step + 1, step=step, time=1.0, phase="training", values=values)
    assert store.beat(job.id, job.owner or "", [line])


def told(store: JobStore) -> list[tuple[str, int, str]]:
    return [(each.job_id, each.attempt, each.event) for each in Outbox(store.database).open()]


def put_one(store: JobStore, *targets: str) -> None:
    """A failure in the outbox, for these receivers."""
    looking = notifier(store, *targets)
    looking.look()
    job = begin(store)
    store.end(job.id, job.owner or "", JobState.FAILED, "nan_loss", failure=NAN)
    looking.look()
