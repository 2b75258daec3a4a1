"""Evaluating checkpoints on lists of problems, and comparing them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.caller import Caller
from api.dependencies import EvaluationsDependency, ServicesDependency
from api.errors import documented
from api.idempotency import KeyedDependency
from api.owners import check_taken_up, owner_of_evaluation
from api.pages import JOB_PLACE, Cursor, Limit, Page, decode, page_of, place_of_job
from api.permissions import Action, allow
from api.schemas import AnswerView, EvaluationDetail, EvaluationRequest, EvaluationView
from gift_core.errors import SpecError
from gift_core.evaluation_document import LengthComparison
from gift_core.evaluation_report import Evaluation, compare_evaluations
from workers.evaluations import EvaluationService
from workers.orders import EvaluationOrder
from workers.records import JobState

router = APIRouter(tags=["evaluations"])

EvaluationId = Annotated[str, Query(max_length=100)]
Examining = Annotated[Caller, allow(Action.EXAMINE)]


@router.post("/evaluations", status_code=202, responses=documented(400, 409, 413, 429))
def evaluate(
    request: EvaluationRequest,
    services: ServicesDependency,
    caller: Annotated[Caller, allow(Action.LAUNCH)],
    keyed: KeyedDependency,
) -> list[EvaluationView]:
    """Begin an evaluation of each checkpoint, or go on with one of one's own that was stopped."""
    settings = request.model_dump(exclude={"checkpoints"})
    orders = [EvaluationOrder.parse(settings | {"checkpoint": checkpoint}) for checkpoint in request.checkpoints]
    ids = [order.id for order in orders]
    check_taken_up(services.studio, caller, ids)
    with services.creating(caller, keyed.claim(caller, request), lambda: services.studio.missing(ids)):
        return [EvaluationView.of_job(job) for job in services.evaluations.start(orders, caller.account_id)]


@router.get("/evaluations", dependencies=[allow(Action.LOOK)], responses=documented(400))
def list_evaluations(
    evaluations: EvaluationsDependency,
    state: Annotated[list[JobState] | None, Query(description="One of these; any if left out.")] = None,
    text: Annotated[str | None, Query(max_length=200, description="In the checkpoint's label.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[EvaluationView]:
    """The newest evaluations first."""
    found = evaluations.jobs(limit + 1, decode(cursor, JOB_PLACE), states=frozenset(state or ()), text=text)
    return page_of(found, limit, EvaluationView.of_job, place_of_job)


@router.get("/evaluations/{evaluation_id}", responses=documented(404))
def get_evaluation(
    evaluation_id: str,
    evaluations: EvaluationsDependency,
    caller: Examining,
    scores: Annotated[bool, Query(description="Whether answers are scored, which may take seconds.")] = True,
) -> EvaluationDetail:
    """An evaluation with its scores so far, computed from its answers."""
    view = EvaluationView.of_job(evaluations.job(evaluation_id))
    found = evaluations.evaluation(evaluation_id, caller.requester) if scores else None
    if found is None:
        return EvaluationDetail(**dict(view))
    result = found.result()
    header = result.header.model_dump(include={"items", "items_fingerprint", "model_fingerprint", "versions"})
    return EvaluationDetail(**dict(view), **header, missing=result.missing, conditions=result.conditions)


@router.get("/evaluations/{evaluation_id}/answers", responses=documented(404))
def list_answers(
    evaluation_id: str,
    evaluations: EvaluationsDependency,
    caller: Examining,
    condition: Annotated[int, Query(ge=0, le=256, description="Which length and seed, in their order.")] = 0,
    start: Annotated[int, Query(ge=0, description="From this item of the list on.")] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[AnswerView]:
    """Items with their answers, in the order of the list; those that were not asked yet are left out."""
    found = _answered(evaluations, evaluation_id, caller)
    if condition >= len(found.generations):
        raise SpecError(
            f"There are {len(found.generations)} conditions.", field="condition", remedy="Choose one of them."
        )
    generations, scores = found.generations[condition], found.scores[condition]
    return [
        AnswerView(
            item=item.id,
            prompt=item.prompt,
            expected=item.expected,
            response=generations[item.id].response,
            tokens=generations[item.id].tokens,
            ended=generations[item.id].ended,
            solved=scores[item.id].solved,
            text=scores[item.id].text,
        )
        for item in found.items[start : start + limit]
        if item.id in generations
    ]


@router.post("/evaluations/{evaluation_id}/stop", responses=documented(404))
def stop(
    evaluation_id: str,
    evaluations: EvaluationsDependency,
    caller: Annotated[Caller, allow(Action.STOP, owner_of_evaluation)],
) -> EvaluationView:
    """Stop after the batch that is under way; the answers stay, and asking again goes on."""
    return EvaluationView.of_job(evaluations.stop(evaluation_id, caller.account_id))


@router.get("/evaluation-comparisons", responses=documented(404))
def compare(
    first: EvaluationId, second: EvaluationId, evaluations: EvaluationsDependency, caller: Examining
) -> list[LengthComparison]:
    """The first minus the second, on the items that both have answered."""
    return compare_evaluations(_answered(evaluations, first, caller), _answered(evaluations, second, caller))


def _answered(evaluations: EvaluationService, identity: str, caller: Caller) -> Evaluation:
    found = evaluations.evaluation(identity, caller.requester)
    if found is None:
        raise SpecError("There are no answers yet.", field="evaluation", remedy="Wait for the first batch.")
    return found
