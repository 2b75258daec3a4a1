"""What there is to start from."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.dataset_views import DatasetCatalogue
from api.dependencies import InferenceDependency, StudioDependency
from api.permissions import Action, allow
from api.schemas import CheckpointView, ExampleView, ModelView
from gift_core.models.catalogue import offered_models
from gift_core.presets import PRESETS
from gift_core.spec import ExperimentSpec
from workers.inference import MOST_EXAMPLES

router = APIRouter(tags=["catalogue"])


@router.get("/models", dependencies=[allow(Action.LOOK)])
def list_models() -> list[ModelView]:
    """The base models that a run can start from."""
    return [ModelView.from_record(entry) for entry in offered_models()]


@router.get("/catalogue/datasets", dependencies=[allow(Action.LOOK)])
def list_known_datasets(studio: StudioDependency) -> DatasetCatalogue:
    """Well-known data sets of the Hub. A run names one in `data.source` by `dataset` alone."""
    return DatasetCatalogue.of(studio.datasets)


@router.get("/presets", dependencies=[allow(Action.LOOK)])
async def list_presets() -> dict[str, ExperimentSpec]:
    """Experiments to start from, by name."""
    return dict(PRESETS)


@router.get("/checkpoints", dependencies=[allow(Action.LOOK)])
def list_checkpoints(
    studio: StudioDependency,
    limit: Annotated[int, Query(ge=0, le=1000, description="At most so many runs, the newest.")] = 500,
) -> list[CheckpointView]:
    """The models that can be inspected and sampled from: base models, and what finished runs made of them.

    Older runs are not listed here; each can still be named by its id, which GET /runs tells page by page.
    """
    return [CheckpointView.from_record(checkpoint) for checkpoint in studio.checkpoints(limit)]


@router.get("/examples", dependencies=[allow(Action.LOOK)])
def list_examples(
    inference: InferenceDependency, count: Annotated[int, Query(ge=1, le=MOST_EXAMPLES)] = 5
) -> list[ExampleView]:
    """`count` held-out examples of each built-in task: no run learns from them."""
    return [ExampleView.from_record(example) for example in inference.examples(count)]
