"""Taking results away: batches of responses, exports, uploads to the Hub, and the files of jobs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import Field, SecretStr

from api.caller import Caller
from api.dependencies import OutputsDependency, ServicesDependency
from api.errors import documented
from api.hub_tokens import require_own_token
from api.idempotency import KeyedDependency
from api.output_views import FileView, OutputView
from api.owners import check_taken_up
from api.permissions import Action, allow
from workers.orders import DenoiseOrder, ExportOrder, PushOrder
from workers.outputs import zipped

router = APIRouter(tags=["outputs"])


class PushRequest(PushOrder):
    """What to upload, where, and with which token. The token is passed to the uploading process and kept nowhere."""

    token: SecretStr | None = Field(None, description="With the role write; the studio's own if left out.")


@router.post("/responses", status_code=202, responses=documented(400, 409, 413, 429))
def denoise_batch(
    order: DenoiseOrder,
    services: ServicesDependency,
    caller: Annotated[Caller, allow(Action.LAUNCH)],
    keyed: KeyedDependency,
) -> OutputView:
    """Respond to up to 1,000 prompts. What was asked for before is there at once."""
    check_taken_up(services.studio, caller, [order.id])
    with services.creating(caller, keyed.claim(caller, order), lambda: services.studio.missing([order.id])):
        return OutputView.of(services.outputs.denoise(order, caller.account_id))


@router.post("/exports", status_code=202, responses=documented(400, 404, 409, 413, 429))
def export(
    order: ExportOrder,
    services: ServicesDependency,
    caller: Annotated[Caller, allow(Action.LAUNCH)],
    keyed: KeyedDependency,
) -> OutputView:
    """Write a finished run as an adapter, as whole weights, or in the layout of the base's authors."""
    check_taken_up(services.studio, caller, [order.id])
    with services.creating(caller, keyed.claim(caller, order), lambda: services.studio.missing([order.id])):
        return OutputView.of(services.outputs.export(order, caller.account_id))


@router.post("/pushes", status_code=202, responses=documented(400, 404, 409, 413, 429))
def push(
    request: PushRequest,
    services: ServicesDependency,
    caller: Annotated[Caller, allow(Action.LAUNCH)],
    keyed: KeyedDependency,
) -> OutputView:
    """Upload a finished run to the Hugging Face Hub."""
    require_own_token(caller, request.token)
    order = PushOrder.model_validate(request.model_dump(exclude={"token"}))
    claim = keyed.claim(caller, request)
    with services.creating(caller, claim, lambda: services.studio.unmade(claim)):
        return OutputView.of(services.outputs.push(order, request.token, caller.account_id, claim))


@router.get("/jobs/{job_id}/files", dependencies=[allow(Action.LOOK)], responses=documented(404))
def list_files(job_id: str, outputs: OutputsDependency) -> list[FileView]:
    """What a job has left to be taken away."""
    return [FileView(name=name, bytes=path.stat().st_size) for name, path in outputs.files(job_id)]


@router.get(
    "/jobs/{job_id}/files/{name:path}",
    dependencies=[allow(Action.LOOK)],
    response_class=FileResponse,
    responses=documented(404),
)
def get_file(job_id: str, name: str, outputs: OutputsDependency) -> FileResponse:
    """One of them."""
    path = outputs.file(job_id, name)
    return FileResponse(path, filename=path.name, content_disposition_type="attachment")


@router.get(
    "/jobs/{job_id}/archive",
    dependencies=[allow(Action.LOOK)],
    response_class=StreamingResponse,
    responses=documented(404),
)
def get_archive(job_id: str, outputs: OutputsDependency) -> StreamingResponse:
    """All of them, as a ZIP archive."""
    files = outputs.files(job_id)
    headers = {"Content-Disposition": f'attachment; filename="{job_id}.zip"'}
    return StreamingResponse(zipped(files, job_id), media_type="application/zip", headers=headers)
