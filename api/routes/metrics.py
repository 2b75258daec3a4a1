"""Metric points, by cursor."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.dependencies import StudioDependency
from api.permissions import Action, allow
from api.schemas import MetricPointView, MetricsView

router = APIRouter(tags=["metrics"])


@router.get("/metrics", dependencies=[allow(Action.LOOK)])
def list_metrics(
    studio: StudioDependency,
    run: Annotated[list[str] | None, Query(max_length=128, description="Runs; all when left out.")] = None,
    after: Annotated[int, Query(ge=0, lt=2**63, description="The `cursor` of the last answer.")] = 0,
    limit: Annotated[int, Query(ge=1, le=5000)] = 1000,
) -> MetricsView:
    """What is newer than `after`, in the order it was logged."""
    points = [MetricPointView.of_point(point) for point in studio.store.metrics(run, after=after, limit=limit)]
    return MetricsView(points=points, cursor=points[-1].cursor if points else after)
