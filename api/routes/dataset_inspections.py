"""Looking at whole data sets: begun at once, watched, kept."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from api.caller import Caller
from api.dependencies import DatasetInspectionsDependency, ServicesDependency
from api.errors import documented
from api.idempotency import KeyedDependency
from api.owners import check_taken_up, owner_of_inspection
from api.permissions import Action, allow
from api.schemas import DatasetInspectionRequest, DatasetInspectionView
from workers.dataset_inspections import DatasetInspectionService
from workers.orders import DatasetOrder
from workers.records import Job

router = APIRouter(prefix="/dataset-inspections", tags=["inference"])


@router.post("", status_code=202, responses=documented(400, 409, 413, 429))
def start(
    request: DatasetInspectionRequest,
    services: ServicesDependency,
    caller: Annotated[Caller, allow(Action.LAUNCH)],
    keyed: KeyedDependency,
) -> DatasetInspectionView:
    """Begin to look at a data set with each checkpoint. What was asked for before is there at once."""
    order = DatasetOrder(
        checkpoints=tuple(request.checkpoints),
        run=request.run,
        examples=request.examples,
        seed=request.seed,
        minimum_count=request.minimum_count,
    )
    inspections = services.dataset_inspections
    check_taken_up(services.studio, caller, [order.id])
    with services.creating(caller, keyed.claim(caller, request), lambda: services.studio.missing([order.id])):
        return _view(inspections, inspections.start(order, caller.account_id))


@router.get("/{inspection_id}", dependencies=[allow(Action.EXAMINE)], responses=documented(404))
def get(inspection_id: str, inspections: DatasetInspectionsDependency) -> DatasetInspectionView:
    """How far it is, and in the end what was found."""
    return _view(inspections, inspections.job(inspection_id))


@router.post("/{inspection_id}/cancel", responses=documented(404))
def cancel(
    inspection_id: str,
    inspections: DatasetInspectionsDependency,
    caller: Annotated[Caller, allow(Action.STOP, owner_of_inspection)],
) -> DatasetInspectionView:
    """Stop after the batch it is in; nothing happens to one that has ended."""
    return _view(inspections, inspections.cancel(inspection_id, caller.account_id))


def _view(inspections: DatasetInspectionService, job: Job) -> DatasetInspectionView:
    return DatasetInspectionView.of_job(job, inspections.result(job))
