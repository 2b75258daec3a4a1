"""Jobs of every kind: how they are, stopping them, taking them up again, and the queue that they wait in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse

from api.caller import Caller
from api.dependencies import ServicesDependency, StudioDependency
from api.errors import documented
from api.hub_tokens import require_own_token
from api.idempotency import KeyedDependency
from api.job_views import (
    CloneRequest,
    ContinueRequest,
    JobChange,
    JobDetail,
    JobView,
    QueueView,
    StopRequest,
    WorkerView,
)
from api.owners import check_hurry, check_place, check_taken_up, owner_of_job
from api.pages import JOB_PLACE, Cursor, Limit, Page, decode, page_of, place_of_job
from api.permissions import Action, allow
from api.schemas import TransitionView
from workers.observations import JobFilter
from workers.orders import PushOrder
from workers.readiness import held_up
from workers.records import ACTIVE, ENDED, JobKind, JobState

router = APIRouter(tags=["jobs"])

_MOST_SHOWN = 200
# Of an answer with a part of a log: the byte at which the next part begins.
NEXT_OFFSET = "Next-Offset"


@router.get("/jobs", dependencies=[allow(Action.LOOK)], responses=documented(400))
def list_jobs(
    studio: StudioDependency,
    kind: JobKind | None = None,
    state: Annotated[list[JobState] | None, Query(description="One of these; any if left out.")] = None,
    ended: Annotated[bool, Query(description="Those that have ended, in whichever way.")] = False,
    experiment: Annotated[str | None, Query(max_length=200)] = None,
    created_by: Annotated[str | None, Query(max_length=200)] = None,
    text: Annotated[str | None, Query(max_length=200, description="In the label.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[JobView]:
    """The newest first."""
    states = frozenset(state or ()) | (ENDED if ended else frozenset())
    wanted = JobFilter(kind=kind, states=states, experiment=experiment, created_by=created_by, text=text)
    found = studio.store.jobs(wanted, limit=limit + 1, after=decode(cursor, JOB_PLACE))
    return page_of(found, limit, JobView.from_record, place_of_job)


@router.get("/jobs/{job_id}", dependencies=[allow(Action.LOOK)], responses=documented(404))
def get_job(job_id: str, studio: StudioDependency) -> JobDetail:
    """A job with what was asked for, what came of it, and its history."""
    history = studio.store.transitions(job_id=job_id)
    return JobDetail.of(studio.store.job(job_id), [TransitionView.from_record(change) for change in history])


@router.get(
    "/jobs/{job_id}/log",
    dependencies=[allow(Action.LOOK)],
    response_class=PlainTextResponse,
    responses=documented(404),
)
def get_job_log(
    job_id: str,
    studio: StudioDependency,
    tail_bytes: Annotated[int, Query(ge=1, le=1_000_000)] = 64_000,
    offset: Annotated[
        int | None,
        Query(ge=0, lt=2**53, description="Begin at this byte instead: the `Next-Offset` of the answer before."),
    ] = None,
) -> PlainTextResponse:
    """The end of a job's log, or at most `tail_bytes` of it from an offset on; a line begins each attempt."""
    found = studio.log_part(job_id, tail_bytes, offset)
    return PlainTextResponse(found.text, headers={NEXT_OFFSET: str(found.next)})


@router.post("/jobs/{job_id}/stop", responses=documented(400, 404))
def stop_job(
    job_id: str,
    studio: StudioDependency,
    caller: Annotated[Caller, allow(Action.STOP, owner_of_job)],
    request: StopRequest | None = None,
) -> JobView:
    """Ask a job to stop. A queued one leaves the queue, and is what it was before it was queued, with its checkpoint.

    A running one is `stopping` until its process has ended. What is discarded can be brought back for a minute: see
    `undo`.
    """
    return JobView.from_record(studio.stop(job_id, caller.account_id, (request or StopRequest()).mode))


@router.post("/jobs/{job_id}/resume", responses=documented(404, 409, 429))
def resume_job(
    job_id: str, services: ServicesDependency, caller: Annotated[Caller, allow(Action.CHANGE, owner_of_job)]
) -> JobView:
    """Queue a job again that ended without finishing; it goes on from its last checkpoint, or its last answer."""
    with services.quotas.launching(caller, lambda: services.studio.missing([job_id])):
        return JobView.from_record(services.studio.resume(job_id, caller.account_id))


@router.post("/jobs/{job_id}/retry", responses=documented(404, 409, 429))
def retry_job(
    job_id: str, services: ServicesDependency, caller: Annotated[Caller, allow(Action.CHANGE, owner_of_job)]
) -> JobView:
    """Begin the job again at step 0. What it had is kept until it has a checkpoint again: until then, see `undo`."""
    with services.quotas.launching(caller, lambda: services.studio.missing([job_id])):
        return JobView.from_record(services.studio.resume(job_id, caller.account_id, fresh=True))


@router.post("/jobs/{job_id}/undo", responses=documented(404, 409))
def undo_job(
    job_id: str, studio: StudioDependency, caller: Annotated[Caller, allow(Action.CHANGE, owner_of_job)]
) -> JobView:
    """Bring back what a job had before it was discarded, or before it started over: checkpoint, result and points.

    A discard can be undone for a minute; a new start for a minute, and until it has its first checkpoint. An attempt
    that runs is `stopping` until its process has ended, and what it has done is dropped. 409 if there is nothing to
    bring back: `actions` of a job has `undo` as long as there is.
    """
    return JobView.from_record(studio.undo(job_id, caller.account_id))


@router.post("/jobs/{job_id}/clone", status_code=202, responses=documented(400, 404, 409, 413, 429))
def clone_job(
    job_id: str,
    asked: CloneRequest,
    request: Request,
    services: ServicesDependency,
    caller: Annotated[Caller, allow(Action.LAUNCH)],
    keyed: KeyedDependency,
) -> JobView:
    """Ask for the same again, with changes; anybody's may be cloned. A run is cloned into an experiment of its own.

    Except for runs and uploads, equal orders are one job: without a change, it is answered with the job itself, which
    is taken up again where it had not finished. An upload that came with a token of its own needs one again.
    """
    copies, claim = services.copies, keyed.claim(caller, asked)
    order = copies.order(job_id, asked.changes)
    if isinstance(order, PushOrder):
        require_own_token(caller, asked.token)
    check_taken_up(services.studio, caller, copies.decided(order))
    with services.creating(caller, claim, lambda: copies.new(order, claim)):
        job = copies.clone(job_id, order, name=asked.name, token=asked.token, claim=claim, by=caller.account_id)
    request.state.thing = job.id
    return JobView.from_record(job)


@router.post("/jobs/{job_id}/continue", status_code=202, responses=documented(400, 404, 409, 413, 429))
def continue_job(
    job_id: str,
    asked: ContinueRequest,
    request: Request,
    services: ServicesDependency,
    caller: Annotated[Caller, allow(Action.CHANGE, owner_of_job)],
    keyed: KeyedDependency,
) -> JobView:
    """Train a run's weights for more epochs, as a new run of the same experiment, which has to be one's own.

    The weights, or the adapter, go on. The optimiser's moments do not: a finished run has none any more. Nor does the
    learning-rate schedule, which ended with the epochs that were asked for: the new run warms up and decays over its
    own. Its seed is the next one, so that it does not see the same order and noise again. A run of somebody else's can
    be launched from: name it in `model.start_from`.
    """
    claim = keyed.claim(caller, asked)
    with services.creating(caller, claim, lambda: services.studio.unmade(claim)):
        job = services.copies.prolong(job_id, asked.epochs, claim, caller.account_id)
    request.state.thing = job.id
    return JobView.from_record(job)


@router.patch("/jobs/{job_id}", responses=documented(400, 404, 409))
def change_job(
    job_id: str,
    change: JobChange,
    studio: StudioDependency,
    caller: Annotated[Caller, allow(Action.CHANGE, owner_of_job)],
) -> JobView:
    """Move a waiting job in the queue, or protect the files of any from being cleaned up.

    Below an admin its priority is 0 at most, and it changes places with jobs of one's own only.
    """
    store = studio.store
    if change.before is not None:
        check_place(studio, caller, change.before)
    if change.priority is not None or change.before is not None or change.first or change.last:
        check_hurry(caller, change.priority or 0)
        place = change.model_dump(exclude={"pinned"})
        store.reorder(job_id, **place, among_own=not caller.is_admin)
    if change.pinned is not None:
        store.pin(job_id, change.pinned)
    return JobView.from_record(store.job(job_id))


@router.delete(
    "/jobs/{job_id}",
    status_code=204,
    dependencies=[allow(Action.DELETE, owner_of_job)],
    responses=documented(404, 409),
)
def delete_job(job_id: str, studio: StudioDependency) -> None:
    """Forget an ended job, its files included. A pinned one stays."""
    studio.remove(job_id)


@router.get("/queue", dependencies=[allow(Action.LOOK)])
def get_queue(studio: StudioDependency) -> QueueView:
    """What runs, what waits, and in which order."""
    running = studio.store.jobs(JobFilter(states=ACTIVE), limit=_MOST_SHOWN)
    return QueueView(
        paused=studio.store.paused,
        held_up=held_up(studio),
        running=[JobView.from_record(job) for job in running],
        waiting=[JobView.from_record(job) for job in studio.store.waiting(_MOST_SHOWN)],
    )


@router.post("/queue/pause")
def pause_queue(studio: StudioDependency, caller: Annotated[Caller, allow(Action.RUN_QUEUE)]) -> QueueView:
    """Let no worker take another job; those that run go on."""
    studio.store.set_paused(True, caller.account_id)
    return get_queue(studio)


@router.post("/queue/resume")
def resume_queue(studio: StudioDependency, caller: Annotated[Caller, allow(Action.RUN_QUEUE)]) -> QueueView:
    """Let workers take jobs again."""
    studio.store.set_paused(False, caller.account_id)
    return get_queue(studio)


@router.get("/devices", dependencies=[allow(Action.LOOK)])
def list_devices(studio: StudioDependency) -> list[WorkerView]:
    """The workers, what they compute on, and which job has it."""
    active = studio.store.jobs(JobFilter(states=ACTIVE), limit=None)
    return [WorkerView.of(worker, active) for worker in studio.store.workers()]
