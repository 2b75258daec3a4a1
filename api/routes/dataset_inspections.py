"""Looking at whole data sets: begun at once, watched, kept."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from api.caller import Caller
from api.dependencies import DatasetInspectionsDependency, StudioDependency
from api.errors import documented
from api.owners import owner_of_inspection
from api.permissions import Action, allow
from api.schemas import DatasetInspectionRequest, DatasetInspectionView
from workers.dataset_inspections import DatasetOrder

router = APIRouter(prefix="/dataset-inspections", tags=["inference"])


@router.post("", status_code=202, responses=documented(400, 409, 413))
def start(
    request: DatasetInspectionRequest,
    inspections: DatasetInspectionsDependency,
    studio: StudioDependency,
    caller: Annotated[Caller, allow(Action.LAUNCH)],
) -> DatasetInspectionView:
    """Begin to look at a data set with each checkpoint. What was asked for before is there at once."""
    order = DatasetOrder(
        checkpoints=tuple(request.checkpoints),
        run=request.run,
        examples=request.examples,
        seed=request.seed,
        minimum_count=request.minimum_count,
    )
    begun = inspections.start(order)
    studio.accounts.claim(f"inspection/{begun.id}", caller.account_id)
    return DatasetInspectionView.from_record(begun)


@router.get("/{inspection_id}", dependencies=[allow(Action.LOOK)], responses=documented(404))
def get(inspection_id: str, inspections: DatasetInspectionsDependency) -> DatasetInspectionView:
    """How far it is, and in the end what was found."""
    return DatasetInspectionView.from_record(inspections.live(inspection_id))


@router.post(
    "/{inspection_id}/cancel", dependencies=[allow(Action.STOP, owner_of_inspection)], responses=documented(404)
)
def cancel(inspection_id: str, inspections: DatasetInspectionsDependency) -> DatasetInspectionView:
    """Stop after the batch it is in; nothing happens to one that has ended."""
    return DatasetInspectionView.from_record(inspections.cancel(inspection_id))
