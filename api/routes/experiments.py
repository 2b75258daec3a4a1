"""Launching experiments and finding them again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.caller import Caller
from api.dependencies import ServicesDependency, StudioDependency
from api.errors import documented
from api.hub_data import fetch_named
from api.idempotency import KeyedDependency
from api.job_views import LaunchQuery
from api.owners import check_hurry
from api.pages import TIME_PLACE, Cursor, Limit, Page, decode, page_of
from api.permissions import Action, allow
from api.schemas import ExperimentDetail, ExperimentView, RunView
from gift_core.spec import ExperimentSpec
from workers.records import Experiment
from workers.studio import Studio

router = APIRouter(tags=["experiments"])


@router.post(
    "/experiments",
    status_code=201,
    responses={
        200: {"model": ExperimentDetail, "description": "This key had created the experiment already."},
        **documented(400, 409, 413, 429),
    },
)
def create_experiment(
    spec: ExperimentSpec,
    request: Request,
    response: Response,
    services: ServicesDependency,
    caller: Annotated[Caller, allow(Action.LAUNCH)],
    keyed: KeyedDependency,
    queued: Annotated[LaunchQuery, Query()],
) -> ExperimentDetail:
    """Queue an experiment's runs. Nothing is created when any of them could not be trained.

    A data set of the Hub, also by a short name of GET /catalogue/datasets, is fetched first and kept; the runs learn
    from the data set that this makes.
    """
    check_hurry(caller, queued.priority)
    studio = services.studio
    claim = keyed.claim(caller, spec, queued)
    with services.creating(caller, claim, lambda: studio.keys.new(claim, len(spec.expand()))):
        if studio.keys.made(claim) is None:
            fetch_named(services, caller, spec.run.data)
        experiment, created = studio.launch(spec, claim, queued.options(), caller.account_id)
    request.state.thing = experiment.id
    response.status_code = 201 if created else 200
    return _detail(studio, experiment)


@router.get("/experiments", dependencies=[allow(Action.LOOK)], responses=documented(400))
def list_experiments(
    studio: StudioDependency,
    created_by: Annotated[str | None, Query(max_length=200)] = None,
    text: Annotated[str | None, Query(max_length=200, description="In the name.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ExperimentView]:
    """The newest experiments first."""
    before = decode(cursor, TIME_PLACE)
    found = studio.store.experiments(limit + 1, before, created_by=created_by, text=text)
    return page_of(found, limit, ExperimentView.from_record, lambda each: (each.created, each.id))


@router.get("/experiments/{experiment_id}", dependencies=[allow(Action.LOOK)], responses=documented(404))
def get_experiment(experiment_id: str, studio: StudioDependency) -> ExperimentDetail:
    """An experiment with its runs."""
    return _detail(studio, studio.store.experiment(experiment_id))


def _detail(studio: Studio, experiment: Experiment) -> ExperimentDetail:
    view = ExperimentView.from_record(experiment)
    runs = [RunView.from_record(run) for run in studio.store.runs(experiment.id)]
    return ExperimentDetail(**dict(view), runs=runs)
