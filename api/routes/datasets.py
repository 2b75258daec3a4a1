"""Data sets: upload and preview."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request

from api.caller import Caller
from api.dependencies import InferenceDependency, ServicesDependency, StudioDependency
from api.errors import documented
from api.limits import declared_bytes
from api.permissions import Action, allow
from api.schemas import DatasetView, PreviewRequest
from gift_core.documents import DatasetPreview
from gift_core.tasks.items import EvaluationTaskName
from workers.datasets import count_examples, count_items

router = APIRouter(tags=["datasets"])

_RAW_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post("/datasets", status_code=201, openapi_extra=_RAW_BODY, responses=documented(400, 413))
async def upload_dataset(
    request: Request,
    services: ServicesDependency,
    caller: Annotated[Caller, allow(Action.UPLOAD)],
    name: Annotated[str, Query(min_length=1, max_length=255, description="The file's name, such as rows.jsonl.")],
    task: Annotated[
        EvaluationTaskName | None,
        Query(description="Its rows are problems of this task, to be evaluated on rather than learned from."),
    ] = None,
) -> DatasetView:
    """Receive a file, as the raw body. It is kept only when every row can be used."""
    count_rows = count_items(task) if task else count_examples
    studio, declared = services.studio, declared_bytes(request.headers)
    body = await asyncio.to_thread(services.quotas.uploading, caller, request.stream(), declared)
    dataset = await studio.datasets.receive(name, body, declared, count_rows)
    await asyncio.to_thread(studio.accounts.claim, f"dataset/{dataset.id}", caller.account_id)
    request.state.thing = dataset.id
    return DatasetView.from_record(dataset)


@router.get("/datasets", dependencies=[allow(Action.LOOK)])
def list_datasets(studio: StudioDependency) -> list[DatasetView]:
    """The uploaded data sets."""
    return [DatasetView.from_record(dataset) for dataset in studio.datasets.list()]


# A plain function, which FastAPI runs in a thread: it may read a whole file.
@router.post("/previews", dependencies=[allow(Action.TRY)], responses=documented(400, 413))
def preview(request: PreviewRequest, inference: InferenceDependency) -> DatasetPreview:
    """What a run would learn from: columns, tokens, the end of each prompt, the EOS tail."""
    return inference.preview(request.run, request.start, request.rows)
