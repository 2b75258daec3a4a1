"""Who made the thing that a route is about, for `allow`. Each raises `NotFoundError` where there is no such thing."""

from __future__ import annotations

from api.dependencies import StudioDependency


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
