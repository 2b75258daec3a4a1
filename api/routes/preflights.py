"""Looking at an experiment before it is launched."""

from __future__ import annotations

from fastapi import APIRouter

from api.admission.lines import preflights
from api.admission.presence import PresenceDependency
from api.dependencies import PreflightDependency
from api.errors import documented
from api.permissions import Action, allow
from api.preflight_views import EffectInPoints, GivenExperiment, PreflightReport

router = APIRouter(prefix="/preflights", tags=["experiments"])


# A plain function, which FastAPI runs in a thread: it reads the data set.
@router.post("", dependencies=[allow(Action.TRY, line=preflights)], responses=documented(400, 413))
def look(
    experiment: GivenExperiment,
    preflight: PreflightDependency,
    presence: PresenceDependency,
    effect: EffectInPoints = 10,
) -> PreflightReport:
    """Everything that is wrong with an experiment, what else is worth knowing, and what it would take.

    Nothing is created. An experiment that cannot be launched is answered with 200 too, and `ok` is false.
    """
    return preflight.report(experiment, effect / 100, presence.require)
