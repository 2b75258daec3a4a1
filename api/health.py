"""Whether the studio can do its work, for whoever decides to send it requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from api.dependencies import StudioDependency
from api.errors import documented, problem_response
from api.monitoring import CONTENT_TYPE, Monitoring
from api.permissions import Action, allow, open_to_all
from gift_core.errors import GiftError, Problem
from workers.readiness import checks_of

logger = logging.getLogger(__name__)

router = APIRouter(tags=["health"], responses=documented(401, 429))

_PATIENCE_SECONDS = 5.0
Check = Callable[[], None]


@router.get("/healthz", dependencies=[open_to_all()])
async def health() -> dict[str, str]:
    """Whether the server answers. It needs neither a thread nor the store, and is not limited."""
    return {"status": "ok"}


@router.get("/readyz", dependencies=[allow(Action.ENTER)], responses=documented(503))
async def ready(studio: StudioDependency) -> JSONResponse:
    """Whether jobs can be taken: the store, the queue, the disk, the machine and the embedded worker."""
    problems = await problems_in(checks_of(studio))
    if problems:
        return problem_response(503, "not_ready", problems)
    return JSONResponse({"status": "ready"})


@router.get(
    "/metrics",
    dependencies=[allow(Action.MEASURE)],
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **documented(401, 403, 429)},
)
def metrics(request: Request) -> Response:
    """In Prometheus' text format; see docs/operations.md for what they mean."""
    monitoring: Monitoring = request.app.state.monitoring
    return Response(monitoring.scrape(), media_type=CONTENT_TYPE)


async def problems_in(checks: Mapping[str, Check], patience: float = _PATIENCE_SECONDS) -> list[Problem]:
    """What is wrong, by the name of its check; each has `patience` seconds to answer."""
    found = await asyncio.gather(*(_problem(name, check, patience) for name, check in checks.items()))
    return [problem for problem in found if problem]


async def _problem(name: str, check: Check, patience: float) -> Problem | None:
    try:
        await asyncio.wait_for(asyncio.to_thread(check), patience)
    except GiftError as error:
        # In the words of the check, under its name: what else the error says may be about this machine.
        return Problem(error.problems[0].message, name, error.problems[0].remedy)
    except TimeoutError:
        return Problem(f"It has not answered for {patience:g} seconds.", name, "Look at the server's log.")
    except Exception as error:
        logger.warning("the %s is not ready: %s", name, error)
        return Problem(f"It does not work ({type(error).__name__}).", name, "Look at the server's log.")
    return None
