"""Looking at tokens."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from api.admission.lines import inspections
from api.admission.presence import PresenceDependency
from api.caller import Caller
from api.dependencies import InferenceDependency
from api.errors import documented
from api.permissions import Action, allow
from api.schemas import Compute, InspectionRequest
from gift_core.documents import Inspection

router = APIRouter(tags=["inference"])


@router.post("/inspections", responses=documented(400, 404, 413))
# A plain function, which FastAPI runs in a thread: it computes for seconds.
def inspect(
    request: InspectionRequest,
    inference: InferenceDependency,
    caller: Annotated[Caller, allow(Action.TRY, line=inspections)],
    presence: PresenceDependency,
    compute: Compute = True,
) -> Inspection:
    """Per response token: its entropy, masking rate, probability and rivals, under each checkpoint."""
    return inference.inspect(
        request.checkpoints,
        request.prompt,
        request.response,
        request.power,
        masked=request.masked,
        compute=compute,
        by=caller.requester,
        still_wanted=presence.require,
    )
