"""Taking results away: batches of responses, exports, uploads to the Hub, and the files of jobs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import Field, SecretStr

from api.dependencies import OutputsDependency
from api.errors import documented
from api.output_views import FileView, OutputView
from workers.orders import DenoiseOrder, ExportOrder, PushOrder
from workers.outputs import zipped

router = APIRouter(tags=["outputs"])

IdempotencyKey = Annotated[
    str | None, Header(min_length=1, max_length=200, description="Sending it again returns the job it created.")
]


class PushRequest(PushOrder):
    """What to upload, where, and with which token. The token is passed to the uploading process and kept nowhere."""

    token: SecretStr | None = Field(None, description="With the role write; the studio's own if left out.")


@router.post("/responses", status_code=202, responses=documented(400, 409, 413))
def denoise_batch(order: DenoiseOrder, outputs: OutputsDependency) -> OutputView:
    """Respond to up to 1,000 prompts. What was asked for before is there at once."""
    return OutputView.of(outputs.denoise(order))


@router.post("/exports", status_code=202, responses=documented(400, 404, 409, 413))
def export(order: ExportOrder, outputs: OutputsDependency) -> OutputView:
    """Write a finished run as an adapter, as whole weights, or in the layout of the base's authors."""
    return OutputView.of(outputs.export(order))


@router.post("/pushes", status_code=202, responses=documented(400, 404, 409, 413))
def push(request: PushRequest, outputs: OutputsDependency, idempotency_key: IdempotencyKey = None) -> OutputView:
    """Upload a finished run to the Hugging Face Hub."""
    order = PushOrder.model_validate(request.model_dump(exclude={"token"}))
    return OutputView.of(outputs.push(order, request.token, key=idempotency_key))


@router.get("/jobs/{job_id}/files", responses=documented(404))
def list_files(job_id: str, outputs: OutputsDependency) -> list[FileView]:
    """What a job has left to be taken away."""
    return [FileView(name=name, bytes=path.stat().st_size) for name, path in outputs.files(job_id)]


@router.get("/jobs/{job_id}/files/{name:path}", response_class=FileResponse, responses=documented(404))
def get_file(job_id: str, name: str, outputs: OutputsDependency) -> FileResponse:
    """One of them."""
    path = outputs.file(job_id, name)
    return FileResponse(path, filename=path.name, content_disposition_type="attachment")


@router.get("/jobs/{job_id}/archive", response_class=StreamingResponse, responses=documented(404))
def get_archive(job_id: str, outputs: OutputsDependency) -> StreamingResponse:
    """All of them, as a ZIP archive."""
    files = outputs.files(job_id)
    headers = {"Content-Disposition": f'attachment; filename="{job_id}.zip"'}
    return StreamingResponse(zipped(files, job_id), media_type="application/zip", headers=headers)
