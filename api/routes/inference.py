"""Looking at tokens."""

from __future__ import annotations

from fastapi import APIRouter

from api.dependencies import InferenceDependency
from api.errors import documented
from api.permissions import Action, allow
from api.schemas import InspectionRequest
from gift_core.documents import Inspection

router = APIRouter(tags=["inference"])


@router.post("/inspections", dependencies=[allow(Action.TRY)], responses=documented(400, 409, 413))
# A plain function, which FastAPI runs in a thread: it computes for seconds.
def inspect(request: InspectionRequest, inference: InferenceDependency) -> Inspection:
    """Per response token: its entropy, masking rate, probability and rivals, under each checkpoint."""
    return inference.inspect(
        request.checkpoints, request.prompt, request.response, request.power, masked=request.masked
    )
