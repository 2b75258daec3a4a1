"""What a preflight is asked, and what it answers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Query

from gift_core.preflight_document import LEAST_EFFECT, PreflightReport
from gift_core.spec import ExperimentSpec

# Taken as it comes: an experiment that is wrong in several places is to be told all of them, and what else is wrong.
GivenExperiment = Annotated[
    Any,
    Body(
        description="The body of a launch. What is wrong with it is part of the answer.",
        examples=[ExperimentSpec().model_dump(mode="json"), {"run": {"training": {"epochs": 3}}}],
    ),
]
EffectInPoints = Annotated[
    float,
    Query(ge=LEAST_EFFECT, le=100, description="The difference in score, in points, that the experiment is to tell."),
]

__all__ = ["EffectInPoints", "GivenExperiment", "PreflightReport"]
