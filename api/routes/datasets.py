"""Data sets: upload, check, fetch from the Hub, look at, delete, and preview."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import IO, Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from api.admission.lines import no_line, previews
from api.caller import Caller
from api.dataset_views import CheckOptions, DatasetDetail, UploadAllowance, UploadOptions
from api.dependencies import InferenceDependency, ServicesDependency, StudioDependency
from api.errors import documented
from api.idempotency import KeyedDependency
from api.limits import declared_bytes
from api.owners import owner_of_dataset
from api.pages import TIME_PLACE, Cursor, Limit, Page, decode, page_of
from api.permissions import Action, allow
from api.schemas import DatasetView, PreviewRequest
from gift_core.data_spec import HubSource
from gift_core.documents import DatasetPreview
from workers.reading.checks import check_examples, check_items

router = APIRouter(tags=["datasets"])

# Their bodies are files, which are limited where they are received.
STREAMED = ("/datasets", "/datasets/checks")
_PIECE = 2**16
_RAW_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_CSV: dict[int | str, dict[str, Any]] = {
    200: {"description": "A row for each problem.", "content": {"text/csv": {"schema": {"type": "string"}}}}
}


@router.post("/datasets", status_code=201, openapi_extra=_RAW_BODY, responses=documented(400, 413, 507))
async def upload_dataset(
    request: Request,
    services: ServicesDependency,
    options: Annotated[UploadOptions, Query()],
    caller: Annotated[Caller, allow(Action.UPLOAD, line=no_line)],
) -> DatasetDetail:
    """Receive a file, as the raw body. It is kept only when every row can be used, by the columns that are named.

    Sent twice, it is one data set. Where no column is named and none is found, it is kept if all of its rows can be
    read: its `summary` then has no layout, and a run that learns from it has to name its columns. It takes no
    Idempotency-Key: its content is one.
    """
    check = check_items(options.task) if options.task else check_examples(options)
    studio, declared = services.studio, declared_bytes(request.headers)
    body = await asyncio.to_thread(services.quotas.uploading, caller, request.stream(), declared)
    dataset = await studio.datasets.receive(options.name, body, declared, check, caller.requester)
    await asyncio.to_thread(studio.accounts.claim, f"dataset/{dataset.id}", caller.account_id)
    request.state.thing = dataset.id
    return DatasetDetail.of(dataset)


@router.post("/datasets/allowances", responses=documented(507))
def allow_upload(services: ServicesDependency, caller: Annotated[Caller, allow(Action.OFFER)]) -> UploadAllowance:
    """Say how large a file may be that this caller is about to send. It counts as a change, as sending it does.

    A page's file is received in front of the API, where its size is judged by this answer.
    """
    services.studio.check_room()
    left = services.quotas.bytes_left(caller)
    return UploadAllowance(account=caller.known_as, file_bytes=services.studio.datasets.limit_bytes, bytes_left=left)


@router.post(
    "/datasets/checks",
    openapi_extra=_RAW_BODY,
    responses=documented(400, 413, 507) | _CSV,
    response_class=StreamingResponse,
)
async def check_dataset(
    request: Request,
    studio: StudioDependency,
    options: Annotated[CheckOptions, Query()],
    caller: Annotated[Caller, allow(Action.UPLOAD, line=no_line)],
) -> StreamingResponse:
    """Every problem of a file, as CSV with the columns where, problem and remedy; nothing of the file is kept."""
    found = await studio.datasets.problems(
        options.name, request.stream(), declared_bytes(request.headers), options, caller.requester
    )
    headers = {"Content-Disposition": 'attachment; filename="problems.csv"'}
    return StreamingResponse(_pieces(found), media_type="text/csv", headers=headers)


# A plain function, which FastAPI runs in a thread: it downloads.
@router.post("/datasets/hub", status_code=201, responses=documented(400, 409, 413, 507))
def fetch_dataset(
    source: HubSource,
    request: Request,
    services: ServicesDependency,
    caller: Annotated[Caller, allow(Action.UPLOAD)],
    keyed: KeyedDependency,
) -> DatasetDetail:
    """Fetch a split of a data set of the Hugging Face Hub and keep it. No other host is asked.

    The commit that it came from is in its `summary`. A studio is kept off the network unless HF_HUB_OFFLINE is 0.
    """
    studio = services.studio
    claim = keyed.claim(caller, source)
    with studio.keys.held(claim):
        made = studio.keys.made(claim)
        dataset = studio.datasets.known(made) if made else None
        if dataset is None:
            dataset = studio.datasets.fetch(source, services.quotas.fetching(caller), caller.requester)
            studio.accounts.claim(f"dataset/{dataset.id}", caller.account_id)
            studio.keys.note(claim, dataset.id)
    request.state.thing = dataset.id
    return DatasetDetail.of(dataset)


@router.get("/datasets", dependencies=[allow(Action.LOOK)], responses=documented(400))
def list_datasets(
    studio: StudioDependency,
    text: Annotated[str | None, Query(max_length=200, description="In the name.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[DatasetView]:
    """The data sets, newest first."""
    found = studio.datasets.page(limit + 1, decode(cursor, TIME_PLACE), text)
    return page_of(found, limit, DatasetView.from_record, lambda each: (each.created, each.id))


@router.get("/datasets/{dataset_id}", dependencies=[allow(Action.LOOK)], responses=documented(404))
def show_dataset(dataset_id: str, studio: StudioDependency) -> DatasetDetail:
    """One data set: columns, layout, sizes of its texts, rows that say the same."""
    return DatasetDetail.of(studio.datasets.find(dataset_id))


@router.delete(
    "/datasets/{dataset_id}",
    status_code=204,
    dependencies=[allow(Action.DELETE, owner_of_dataset)],
    responses=documented(404, 409),
)
def delete_dataset(dataset_id: str, studio: StudioDependency) -> None:
    """Delete a data set; refused while a run that has not ended learns from it."""
    studio.datasets.delete(dataset_id)
    studio.accounts.disclaim(f"dataset/{dataset_id}")


# A plain function, which FastAPI runs in a thread: it may read a whole file.
@router.post("/previews", dependencies=[allow(Action.TRY, line=previews)], responses=documented(400, 413))
def preview(request: PreviewRequest, inference: InferenceDependency) -> DatasetPreview:
    """What a run would learn from: columns, tokens, the end of each prompt, the EOS tail, what would be cut."""
    return inference.preview(request.run, request.start, request.rows)


def _pieces(file: IO[str]) -> Iterator[str]:
    with file:
        while piece := file.read(_PIECE):
            yield piece
