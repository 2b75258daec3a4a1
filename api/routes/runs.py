"""Runs: how they are, stopping them, their log and their spec."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse

from api.caller import Caller
from api.dependencies import StudioDependency
from api.errors import documented
from api.owners import owner_of_run
from api.pages import JOB_PLACE, Cursor, Limit, Page, decode, page_of, place_of_job
from api.permissions import Action, allow
from api.schemas import RunDetail, RunView, TransitionView
from gift_core.spec import RunSpec
from workers.observations import JobFilter
from workers.records import JobKind, JobState

router = APIRouter(tags=["runs"])


class YamlResponse(PlainTextResponse):
    media_type = "application/yaml"


@router.get("/runs", dependencies=[allow(Action.LOOK)], responses=documented(400))
def list_runs(
    studio: StudioDependency,
    experiment: Annotated[str | None, Query(max_length=200)] = None,
    state: Annotated[list[JobState] | None, Query(description="One of these; any if left out.")] = None,
    created_by: Annotated[str | None, Query(max_length=200)] = None,
    text: Annotated[str | None, Query(max_length=200, description="In the label.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[RunView]:
    """Runs, those of the newest experiment first, each experiment's in their order."""
    narrowed = {"experiment": experiment, "created_by": created_by, "text": text}
    wanted = JobFilter(kind=JobKind.TRAIN, states=frozenset(state or ()), **narrowed)
    found = studio.store.jobs(wanted, limit=limit + 1, after=decode(cursor, JOB_PLACE))
    return page_of(found, limit, RunView.from_record, place_of_job)


@router.get("/runs/{run_id}", dependencies=[allow(Action.LOOK)], responses=documented(404))
def get_run(run_id: str, studio: StudioDependency) -> RunDetail:
    """A run with its spec and its history."""
    record = studio.store.run(run_id)
    history = studio.store.transitions(job_id=run_id)
    return RunDetail(
        **dict(RunView.from_record(record)),
        spec=RunSpec.parse(record.spec),
        transitions=[TransitionView.from_record(change) for change in history],
    )


@router.post("/runs/{run_id}/stop", responses=documented(404))
def stop_run(
    run_id: str, studio: StudioDependency, caller: Annotated[Caller, allow(Action.STOP, owner_of_run)]
) -> RunView:
    """Ask a run to stop and to save. A queued one leaves the queue, and keeps what it had before it was queued."""
    return RunView.from_record(studio.stop(run_id, caller.account_id))


@router.get(
    "/runs/{run_id}/log", dependencies=[allow(Action.LOOK)], response_class=PlainTextResponse, responses=documented(404)
)
def get_log(
    run_id: str, studio: StudioDependency, tail_bytes: Annotated[int, Query(ge=1, le=1_000_000)] = 64_000
) -> str:
    """The end of a run's log."""
    return studio.log(studio.store.run(run_id).id, tail_bytes)


@router.get(
    "/runs/{run_id}/spec",
    dependencies=[allow(Action.LOOK)],
    response_class=YamlResponse,
    # The schema is that of the document which the text is.
    responses={200: {"content": {YamlResponse.media_type: {"schema": {"type": "object"}}}}, **documented(404)},
)
def get_spec(run_id: str, studio: StudioDependency) -> YamlResponse:
    """The exact spec, as the YAML file that `gift train` takes."""
    record = studio.store.run(run_id)
    disposition = f'attachment; filename="{record.id}.yaml"'
    return YamlResponse(RunSpec.parse(record.spec).to_yaml(), headers={"Content-Disposition": disposition})
