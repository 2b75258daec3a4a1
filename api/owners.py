"""Who made the thing that a route is about, for `allow`. Each raises `NotFoundError` where there is no such thing."""

from __future__ import annotations

from collections.abc import Collection

from api.auth import CallerDependency
from api.caller import Caller
from api.dependencies import StudioDependency, TracesDependency
from api.permissions import Action, ForbiddenError, check_owner
from workers.records import ENDED, JobState
from workers.studio import Studio


def owner_of_run(run_id: str, studio: StudioDependency) -> str:
    return studio.store.run(run_id).created_by


def owner_of_job(job_id: str, studio: StudioDependency) -> str:
    return studio.store.job(job_id).created_by


def owner_of_inspection(inspection_id: str, studio: StudioDependency) -> str:
    return studio.store.job(inspection_id).created_by


def owner_of_evaluation(evaluation_id: str, studio: StudioDependency) -> str:
    return studio.store.job(evaluation_id).created_by


def owner_of_trace(trace_id: str, traces: TracesDependency, caller: CallerDependency) -> str:
    # Of one that has ended there is nothing to cancel, and nobody is remembered: it may have ended just now.
    live = traces.under_way(trace_id)
    return live.by.name if live else caller.known_as


def owner_of_dataset(dataset_id: str, studio: StudioDependency) -> str | None:
    return studio.accounts.owner(f"dataset/{dataset_id}")


def owner_of_key(prefix: str, studio: StudioDependency) -> str:
    return studio.accounts.key(prefix).account_id


def owner_of_session(session_id: str, studio: StudioDependency) -> str:
    return studio.accounts.sessions.session(session_id).account_id


def check_taken_up(studio: Studio, caller: Caller, ids: Collection[str]) -> None:
    """Asking again goes on with a job that ended without finishing, and so it needs what resuming it does.

    Raises `ForbiddenError` where one of these is somebody else's: it would run on their quota, after they stopped it.
    """
    for job in studio.store.jobs_with(set(ids)):
        if job.state in ENDED - {JobState.FINISHED}:
            check_owner(Action.CHANGE, caller, job.created_by)


def check_hurry(caller: Caller, priority: int) -> None:
    """Only an admin puts something before what others wait for; raises `ForbiddenError`."""
    if priority > 0 and not caller.is_admin:
        raise ForbiddenError("Only an admin gives a priority above 0.", field="priority", remedy="Leave it out.")


def check_place(studio: Studio, caller: Caller, before: str) -> None:
    """The same for a place in the queue: below an admin, before one's own. Raises `NotFoundError` as well."""
    if not caller.is_admin and studio.store.job(before).created_by != caller.account_id:
        raise ForbiddenError(
            "What it would be placed before is somebody else's.",
            field="before",
            remedy="Place it before another one of yours, or ask an admin of this studio.",
        )
