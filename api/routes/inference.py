"""Looking at tokens and watching a response being denoised."""

from __future__ import annotations

from fastapi import APIRouter

from api.dependencies import InferenceDependency
from api.errors import documented
from api.schemas import DenoisingRequest, InspectionRequest
from gift_core.documents import Inspection, Trace

router = APIRouter(tags=["inference"])

# Plain functions, which FastAPI runs in a thread: both compute for seconds.


@router.post("/inspections", responses=documented(400, 413))
def inspect(request: InspectionRequest, inference: InferenceDependency) -> Inspection:
    """Per response token: its entropy, masking rate, probability and rivals, under each checkpoint."""
    return inference.inspect(request.checkpoints, request.prompt, request.response, request.power)


@router.post("/denoisings", responses=documented(400, 413))
def denoise(request: DenoisingRequest, inference: InferenceDependency) -> list[Trace]:
    """Generate a response step by step with each checkpoint, on the same noise."""
    return inference.denoise(request.checkpoints, request.prompt, request.sampling, request.seed)
