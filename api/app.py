"""The backend as a FastAPI application: routes, errors, limits and the event hub, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from api import health
from api.admission.lines import Lines
from api.auditing import Auditing
from api.conditional import Conditional
from api.dependencies import Services
from api.docs import add_docs
from api.errors import add_error_handlers, documented
from api.events import EventHub
from api.limits import BodyLimit, BodyTime
from api.middleware.caching import Caching
from api.middleware.methods import Methods
from api.middleware.well_formed import WellFormed
from api.monitoring import Monitoring
from api.oauth import HubSignIn
from api.openapi import StudioApi
from api.origins import LoopbackOnly, SameOrigin
from api.quotas import Quotas
from api.rate_limits import Limits
from api.request_log import RequestLog
from api.routes import (
    accounts,
    catalogue,
    dataset_inspections,
    datasets,
    evaluations,
    events,
    experiments,
    inference,
    jobs,
    metrics,
    outputs,
    preflights,
    runs,
    sessions,
    sign_in,
    traces,
)
from api.security_headers import SecurityHeaders
from api.serving.streams import StreamLimit
from workers.checking.documents import Place
from workers.copies import CopyService
from workers.dataset_inspections import DatasetInspectionService
from workers.devices import free_memory
from workers.evaluations import EvaluationService
from workers.inference import InferenceService
from workers.models import ModelShelf
from workers.outputs import OutputService
from workers.preflight import PreflightService
from workers.recorded import EXPERIMENT_ID
from workers.records import Job
from workers.studio import Studio
from workers.traces import TraceService

PREFIX = "/api/v1"

api_routers = (
    catalogue.router,
    experiments.router,
    preflights.router,
    runs.router,
    metrics.router,
    events.router,
    datasets.router,
    inference.router,
    dataset_inspections.router,
    traces.router,
    evaluations.router,
    outputs.router,
    jobs.router,
    sign_in.router,
    sessions.router,
    accounts.router,
)


def create_api(studio: Studio, *, events_interval: float = 0.15) -> FastAPI:
    """The application over this studio. `events_interval`: seconds between looks for news to stream."""
    hub = EventHub(studio.store, events_interval)
    shelf = ModelShelf(studio, studio.settings.inference_threads)
    denoisings = TraceService(studio.trace_files, shelf)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        studio.readers.warm()
        try:
            async with hub.running():
                yield
        finally:
            await asyncio.to_thread(denoisings.close)

    app = StudioApi(
        prefix=PREFIX,
        title="GIFT Studio",
        description="Fine-tune masked diffusion language models with GIFT, and see what it does.",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    settings = studio.settings
    inspections = DatasetInspectionService(studio, shelf)
    evaluated, made = EvaluationService(studio, shelf), OutputService(studio, shelf)
    app.state.services = Services(
        studio=studio,
        inference=InferenceService(studio, shelf),
        dataset_inspections=inspections,
        traces=denoisings,
        evaluations=evaluated,
        outputs=made,
        copies=CopyService(studio, evaluated, inspections, made),
        preflight=PreflightService(
            studio.checker, studio.datasets, lambda: _place(studio), lambda: _trained_here(studio)
        ),
        hub=hub,
        limits=Limits(settings),
        lines=Lines(),
        quotas=Quotas(studio),
        hub_sign_in=HubSignIn(settings),
    )
    streamed = frozenset(f"{PREFIX}{path}" for path in datasets.STREAMED)
    documents = (PREFIX, "/sign-in")
    app.add_middleware(StreamLimit, settings=settings)
    app.add_middleware(Conditional, prefix=PREFIX)
    app.add_middleware(BodyTime, whole=documents, streamed=streamed, seconds=settings.body_seconds)
    app.add_middleware(BodyLimit, prefix=documents, streamed=streamed)
    app.add_middleware(Methods)
    app.add_middleware(Auditing, log=studio.audit)
    app.add_middleware(SameOrigin, base_url=settings.base_url)
    app.add_middleware(WellFormed)
    if not settings.has_accounts:
        app.add_middleware(LoopbackOnly)
    app.add_middleware(Caching)
    app.add_middleware(SecurityHeaders, framed=settings.space_id is not None)
    add_error_handlers(app)
    add_docs(app)
    for router in api_routers:
        app.include_router(router, prefix=PREFIX, responses=documented(401, 403, 422, 429, 500, 503))
    app.include_router(sign_in.pages)
    app.include_router(health.router)
    app.state.monitoring = Monitoring(studio)
    # Added last, it is the outermost: what the others refuse is logged and counted too.
    app.add_middleware(RequestLog, prefix=PREFIX, metrics=app.state.monitoring.requests)
    return app


def _place(studio: Studio) -> Place:
    """The machine that trains; what it has free is known where that is this one."""
    directory = studio.data.absolute()
    gpus = [device for device in studio.own_devices if device.kind == "cuda"]
    if gpus:
        total = max(device.memory for device in gpus)
        return Place(directory=directory, is_here=False, memory_free=free_memory(gpus), memory_total=total)
    return Place(directory=directory, is_here=studio.settings.embedded_worker)


def _trained_here(studio: Studio) -> list[Job]:
    """The runs that say how fast this studio trains; the recorded ones come from another machine."""
    return [run for run in studio.store.trained(200) if run.experiment_id != EXPERIMENT_ID]
