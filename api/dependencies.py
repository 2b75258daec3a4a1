"""What the routes are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.admission.lines import Lines
from api.caller import Caller
from api.events import EventHub
from api.oauth import HubSignIn
from api.quotas import Quotas
from api.rate_limits import Limits
from workers.copies import CopyService
from workers.dataset_inspections import DatasetInspectionService
from workers.evaluations import EvaluationService
from workers.inference import InferenceService
from workers.keys import Claim
from workers.outputs import OutputService
from workers.preflight import PreflightService
from workers.studio import Studio
from workers.traces import TraceService


@dataclass(frozen=True)
class Services:
    """What one application works on."""

    studio: Studio
    inference: InferenceService
    dataset_inspections: DatasetInspectionService
    traces: TraceService
    evaluations: EvaluationService
    outputs: OutputService
    copies: CopyService
    preflight: PreflightService
    hub: EventHub
    limits: Limits
    lines: Lines
    quotas: Quotas
    hub_sign_in: HubSignIn

    @contextmanager
    def creating(self, caller: Caller, claim: Claim | None, new: Callable[[], int]) -> Iterator[None]:
        """The block that makes what was asked for: the key is this request's, and `new()` more jobs may wait.

        Raises `KeyConflictError` and `QuotaError`.
        """
        with self.studio.keys.held(claim), self.quotas.launching(caller, new):
            yield


async def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _studio(services: Annotated[Services, Depends(services_of)]) -> Studio:
    return services.studio


async def _inference(services: Annotated[Services, Depends(services_of)]) -> InferenceService:
    return services.inference


async def _dataset_inspections(services: Annotated[Services, Depends(services_of)]) -> DatasetInspectionService:
    return services.dataset_inspections


async def _traces(services: Annotated[Services, Depends(services_of)]) -> TraceService:
    return services.traces


async def _evaluations(services: Annotated[Services, Depends(services_of)]) -> EvaluationService:
    return services.evaluations


async def _outputs(services: Annotated[Services, Depends(services_of)]) -> OutputService:
    return services.outputs


async def _preflight(services: Annotated[Services, Depends(services_of)]) -> PreflightService:
    return services.preflight


async def _hub(services: Annotated[Services, Depends(services_of)]) -> EventHub:
    return services.hub


StudioDependency = Annotated[Studio, Depends(_studio)]
InferenceDependency = Annotated[InferenceService, Depends(_inference)]
DatasetInspectionsDependency = Annotated[DatasetInspectionService, Depends(_dataset_inspections)]
TracesDependency = Annotated[TraceService, Depends(_traces)]
EvaluationsDependency = Annotated[EvaluationService, Depends(_evaluations)]
OutputsDependency = Annotated[OutputService, Depends(_outputs)]
PreflightDependency = Annotated[PreflightService, Depends(_preflight)]
ServicesDependency = Annotated[Services, Depends(services_of)]
HubDependency = Annotated[EventHub, Depends(_hub)]
