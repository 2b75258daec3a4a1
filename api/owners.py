"""Who made the thing that a route is about, for `allow`. Each raises `NotFoundError` where there is no such thing."""

from __future__ import annotations

from collections.abc import Collection

from api.caller import Caller
from api.dependencies import StudioDependency
from api.permissions import Action, check_owner
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


def owner_of_trace(trace_id: str, studio: StudioDependency) -> str | None:
    return studio.accounts.owner(f"trace/{trace_id}")


def owner_of_dataset(dataset_id: str, studio: StudioDependency) -> str | None:
    return studio.accounts.owner(f"dataset/{dataset_id}")


def owner_of_key(prefix: str, studio: StudioDependency) -> str:
    return studio.accounts.key(prefix).account_id


def check_taken_up(studio: Studio, caller: Caller, ids: Collection[str]) -> None:
    """Asking again goes on with a job that ended without finishing, and so it needs what resuming it does.

    Raises `ForbiddenError` where one of these is somebody else's: it would run on their quota, after they stopped it.
    """
    for job in studio.store.jobs_with(set(ids)):
        if job.state in ENDED - {JobState.FINISHED}:
            check_owner(Action.CHANGE, caller, job.created_by)
