"""Launching experiments and finding them again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from api.caller import Caller
from api.dependencies import ServicesDependency, StudioDependency
from api.errors import documented
from api.pages import TIME_PLACE, Cursor, Limit, Page, decode, page_of
from api.permissions import Action, allow
from api.schemas import ExperimentDetail, ExperimentView, RunView
from gift_core.spec import ExperimentSpec
from workers.experiments import LaunchOptions
from workers.records import Experiment
from workers.studio import Studio

router = APIRouter(tags=["experiments"])

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        description="Any text unique to this launch. Sending it again returns the experiment it created.",
    ),
]


@router.post(
    "/experiments",
    status_code=201,
    responses={
        200: {"model": ExperimentDetail, "description": "This key had created the experiment already."},
        **documented(400, 409, 413),
    },
)
def create_experiment(
    spec: ExperimentSpec,
    request: Request,
    response: Response,
    services: ServicesDependency,
    caller: Annotated[Caller, allow(Action.LAUNCH)],
    idempotency_key: IdempotencyKey = None,
    priority: Annotated[int, Query(ge=-100, le=100, description="Of those that wait, the highest is next.")] = 0,
    devices: Annotated[int, Query(ge=1, le=64, description="On how many devices each run is trained.")] = 1,
    device: Annotated[
        str, Query(pattern=r"^(cpu|cuda(:\d{1,3})?)?$", description="On which, or which kind; any if left out.")
    ] = "",
    stop_on_failure: Annotated[bool, Query(description="Stop the runs that wait when one of them fails.")] = False,
) -> ExperimentDetail:
    """Queue an experiment's runs. Nothing is created when any of them could not be trained."""
    studio = services.studio
    options = LaunchOptions(priority, devices, device, stop_on_failure)
    with services.quotas.launching(caller, len(spec.expand())):
        experiment, created = studio.launch(spec, caller.key(idempotency_key), options, caller.account_id)
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
