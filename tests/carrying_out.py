"""What a worker and a job's process do, in this process: to start one takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from gift_core.errors import GiftError, StoppedError
from gift_core.reporting import Line
from workers.context import JobContext
from workers.failures import failure_of
from workers.kinds import KINDS, job_directory
from workers.metrics import MetricLine
from workers.outcome import outcome_of
from workers.records import Job, JobKind, JobState
from workers.studio import Studio


def carry_out(studio: Studio, job_id: str, then: Callable[[], object] = lambda: None) -> Job:
    """Take a queued job and carry it out to its end; `then` is called after each of its reports."""
    store = studio.store
    job = store.claim("worker", "host", lambda waiting, _: next(job for job in waiting if job.id == job_id))
    assert job is not None
    owner, lines, stops = job.owner or "", 0, False

    def report(line: Line) -> None:
        nonlocal lines, stops
        lines += 1
        store.beat(job_id, owner, [MetricLine.model_validate(line).model_copy(update={"number": lines})])
        then()
        orders = store.beat(job_id, owner)
        stops = orders is None or orders.state is JobState.STOPPING

    directory = job_directory(studio.data, job)
    directory.mkdir(parents=True, exist_ok=True)
    context = JobContext(directory, studio.data, not job.fresh, report, lambda: stops, lambda: stops)
    kind = JobKind(job.kind)
    try:
        result = import_module(f"workers.kinds.{kind}").run(KINDS[kind].request.model_validate(job.spec), context)
    except StoppedError:
        store.end(job_id, owner, JobState.STOPPED, "stopped on request")
    except GiftError as error:
        store.end(job_id, owner, JobState.FAILED, error.code, failure=failure_of(error, studio.data).model_dump())
    else:
        # A training leaves its result itself.
        found = result or outcome_of(directory, exit_code=0).result
        store.end(job_id, owner, JobState.FINISHED, "finished", found)
    return store.job(job_id)
