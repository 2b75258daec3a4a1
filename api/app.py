"""The backend as a FastAPI application: routes, errors, limits and the event hub, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from api.auditing import Auditing
from api.dependencies import Services
from api.docs import add_docs
from api.errors import add_error_handlers, documented, problem_schemas
from api.events import EventHub
from api.limits import BodyLimit, BodyTime
from api.oauth import HubSignIn
from api.origins import LoopbackOnly, SameOrigin
from api.permissions import Action, allow
from api.quotas import Quotas
from api.rate_limits import Limits
from api.routes import (
    accounts,
    catalogue,
    dataset_inspections,
    datasets,
    evaluations,
    events,
    experiments,
    inference,
    metrics,
    runs,
    sign_in,
    traces,
)
from api.security_headers import SecurityHeaders
from workers.dataset_inspections import DatasetInspectionService
from workers.evaluations import EvaluationService
from workers.inference import InferenceService
from workers.models import ModelShelf
from workers.studio import Studio
from workers.traces import TraceService

PREFIX = "/api/v1"

api_routers = (
    catalogue.router,
    experiments.router,
    runs.router,
    metrics.router,
    events.router,
    datasets.router,
    inference.router,
    dataset_inspections.router,
    traces.router,
    evaluations.router,
    sign_in.router,
    accounts.router,
)


class StudioApi(FastAPI):
    def openapi(self) -> dict[str, Any]:
        schema = super().openapi()
        schema["components"]["schemas"].update(problem_schemas())
        return schema


def create_api(studio: Studio, *, events_interval: float = 0.25) -> FastAPI:
    """The application over this studio. `events_interval`: seconds between looks for news to stream."""
    hub = EventHub(studio.store, events_interval)
    shelf = ModelShelf(studio, studio.settings.inference_threads)
    denoisings = TraceService(studio.trace_files, shelf)
    inspections = DatasetInspectionService(studio, shelf)
    scored = EvaluationService(studio.evaluation_files, shelf, studio.datasets.path)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            async with hub.running():
                yield
        finally:
            await asyncio.to_thread(denoisings.close)
            await asyncio.to_thread(inspections.close)
            await asyncio.to_thread(scored.close)

    app = StudioApi(
        title="GIFT Studio",
        description="Fine-tune masked diffusion language models with GIFT, and see what it does.",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    settings = studio.settings
    inference_service = InferenceService(studio, shelf)
    app.state.services = Services(
        studio,
        inference_service,
        inspections,
        denoisings,
        scored,
        hub,
        Limits(settings),
        Quotas(studio),
        HubSignIn(settings),
    )
    streamed = frozenset({f"{PREFIX}/datasets"})
    documents = (PREFIX, "/sign-in")
    app.add_middleware(BodyTime, whole=documents, streamed=streamed, seconds=settings.body_seconds)
    app.add_middleware(BodyLimit, prefix=documents, streamed=streamed)
    app.add_middleware(Auditing, log=studio.audit)
    app.add_middleware(SameOrigin, base_url=settings.base_url)
    if not settings.has_accounts:
        app.add_middleware(LoopbackOnly)
    app.add_middleware(SecurityHeaders, framed=settings.space_id is not None)
    add_error_handlers(app)
    add_docs(app)
    for router in api_routers:
        app.include_router(router, prefix=PREFIX, responses=documented(401, 403, 422, 429, 500))
    app.include_router(sign_in.pages)
    app.add_api_route("/healthz", health, tags=["health"], dependencies=[allow(Action.ENTER)])
    return app


async def health() -> dict[str, str]:
    """Whether the server answers."""
    return {"status": "ok"}
