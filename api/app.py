"""The backend as a FastAPI application: routes, errors, limits and the event hub, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from api import health
from api.dependencies import Services
from api.docs import add_docs
from api.errors import add_error_handlers, documented, problem_schemas
from api.events import EventHub
from api.limits import BodyLimit
from api.monitoring import Monitoring
from api.origins import SameOrigin
from api.request_log import RequestLog
from api.routes import (
    catalogue,
    dataset_inspections,
    datasets,
    evaluations,
    events,
    experiments,
    inference,
    metrics,
    outputs,
    runs,
    traces,
)
from workers.dataset_inspections import DatasetInspectionService
from workers.evaluations import EvaluationService
from workers.inference import InferenceService
from workers.models import ModelShelf
from workers.outputs import OutputService
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
    outputs.router,
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

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            async with hub.running():
                yield
        finally:
            await asyncio.to_thread(denoisings.close)

    app = StudioApi(
        title="GIFT Studio",
        description="Fine-tune masked diffusion language models with GIFT, and see what it does.",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = Services(
        studio=studio,
        inference=InferenceService(studio, shelf),
        dataset_inspections=DatasetInspectionService(studio, shelf),
        traces=denoisings,
        evaluations=EvaluationService(studio, shelf),
        outputs=OutputService(studio, shelf),
        hub=hub,
    )
    app.add_middleware(BodyLimit, prefix=PREFIX, streamed=frozenset({f"{PREFIX}/datasets"}))
    app.add_middleware(SameOrigin, prefix=PREFIX)
    add_error_handlers(app)
    add_docs(app)
    for router in api_routers:
        app.include_router(router, prefix=PREFIX, responses=documented(422, 500))
    app.include_router(health.router)
    app.state.monitoring = Monitoring(studio)
    # Added last, it is the outermost: what the others refuse is logged and counted too.
    app.add_middleware(RequestLog, prefix=PREFIX, metrics=app.state.monitoring.requests)
    return app
