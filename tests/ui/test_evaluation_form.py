"""The form of the page Evaluate: what it asks for, and that it shows again what was asked."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from api.schemas import EvaluationRequest, EvaluationView
from gift_core.evaluation_spec import PROTOCOL
from gift_core.spec import SamplingSpec
from gift_core.tasks.items import GeneratedItems, HubItems
from gift_core.tasks.registry import EVALUATION_TASKS
from ui.connection import StudioError
from ui.pages.evaluation_entries import entries_of, task_title
from ui.pages.evaluation_form import FILE, OWN_LIST, EvaluationForm
from workers.orders import EvaluationOrder, UploadedItems
from workers.records import JobState

ORDERS = [
    EvaluationOrder(task="sudoku", checkpoint="tiny", source=GeneratedItems(difficulty="hard", seed=3, count=12)),
    EvaluationOrder(
        task="word_problems", checkpoint="tiny", source=GeneratedItems(difficulty="easy"), lengths=(48, 96)
    ),
    EvaluationOrder(
        task="algebra",
        checkpoint="tiny",
        source=GeneratedItems(difficulty="standard"),
        sampling=SamplingSpec(temperature=0.5, confidence_threshold=0.9),
        seeds=(1, 2),
    ),
    EvaluationOrder(task="countdown3", checkpoint="tiny", source=GeneratedItems(count=64)),
    EvaluationOrder(task="gsm8k", checkpoint="tiny", source=HubItems(first=100), lengths=(128, 256, 512)),
    EvaluationOrder(task="math500", checkpoint="tiny", source=UploadedItems(dataset="ds_1", first=10)),
    EvaluationOrder(task="sudoku4x4", checkpoint="tiny", source=UploadedItems(dataset="ds_1"), sampling=SamplingSpec()),
]


def view_of(order: EvaluationOrder, label: str = "Tiny base") -> EvaluationView:
    return EvaluationView(
        id=order.id,
        label=label,
        order=order,
        state=JobState.FINISHED,
        done=0,
        total=None,
        solved=0,
        eta_seconds=None,
        problems=[],
    )


@pytest.fixture
def form() -> EvaluationForm:
    with gr.Blocks(analytics_enabled=False):
        return EvaluationForm()


def values(form: EvaluationForm, *changes: dict[Any, Any]) -> dict[Any, Any]:
    """What the inputs hold after these updates."""
    held = {part: part.value for part in form.inputs}
    for change in changes:
        for part, update in change.items():
            if not isinstance(update, dict):
                held[part] = update
            elif "value" in update:
                held[part] = update["value"]
    return held


def asked(form: EvaluationForm, held: dict[Any, Any]) -> EvaluationRequest:
    return EvaluationRequest.model_validate(form.order({**held, form.checkpoints: ["tiny"]}))


@pytest.mark.parametrize("task", EVALUATION_TASKS)
def test_every_task_can_be_asked_for_without_changing_anything(form: EvaluationForm, task: str) -> None:
    request = asked(form, values(form, form.at_default(task, None)))
    assert (request.task, request.sampling, request.lengths, request.seeds) == (task, None, (), (0,))
    assert request.source is not None
    assert request.source.kind == EVALUATION_TASKS[request.task].default_source.kind


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.task)
def test_an_evaluation_that_is_opened_is_in_the_form_as_it_was_asked(
    form: EvaluationForm, order: EvaluationOrder
) -> None:
    request = asked(form, values(form, form.at_default("sudoku", "hard"), form.as_asked(view_of(order))))
    again = EvaluationOrder.model_validate({**request.model_dump(exclude={"checkpoints"}), "checkpoint": "tiny"})
    assert again == order
    assert again.id == order.id


def test_another_task_brings_its_own_settings(form: EvaluationForm) -> None:
    held = values(form, form.at_default("sudoku", None), form.for_task("gsm8k"))
    assert held[form.sampling["sampling.steps"]] == PROTOCOL.steps
    assert held[form.dataset] == ""
    updates = form.for_task("gsm8k")
    assert (updates[form.level]["visible"], updates[form.count]["visible"], updates[form.first]["visible"]) == (
        False, False, True
    )  # fmt: skip
    file = form.for_kind("gsm8k", FILE)
    assert (file[form.upload]["visible"], file[form.kind]["value"]) == (True, FILE)
    assert not form.for_kind("sudoku", OWN_LIST)[form.kind]["visible"]


def test_what_is_no_number_is_left_for_the_backend_to_refuse(client, form: EvaluationForm) -> None:
    held = values(form, form.at_default("sudoku", None)) | {form.lengths: "48, abc", form.checkpoints: ["tiny"]}
    with pytest.raises(StudioError) as refusal:
        client.evaluate(form.order(held))
    assert refusal.value.problems[0].field.startswith("lengths")


def test_names_tell_evaluations_apart() -> None:
    sft, other = (view_of(EvaluationOrder(checkpoint=each), "SFT") for each in ("run_1", "run_2"))
    titles = {"run_1": "SFT · one", "run_2": "SFT · two"}
    assert [entry["name"] for entry in entries_of([sft, other], titles)] == ["SFT · one", "SFT · two"]
    fast = view_of(EvaluationOrder(checkpoint="run_1", sampling=SamplingSpec(steps=12)), "SFT")
    assert [entry["name"] for entry in entries_of([sft, fast], titles)] == ["SFT, steps 24", "SFT, steps 12"]
    base = view_of(EvaluationOrder(checkpoint="tiny"))
    assert [entry["name"] for entry in entries_of([base, sft], titles)] == ["Tiny base", "SFT"]


def test_conditions_stand_in_the_order_in_which_they_are_asked() -> None:
    order = EvaluationOrder(checkpoint="tiny", lengths=(96, 48), seeds=(2, 1), sampling=SamplingSpec(temperature=1))
    (entry,) = entries_of([view_of(order)], {})
    assert [(each["length"], each["seed"]) for each in entry["asked"]] == [(96, 2), (96, 1), (48, 2), (48, 1)]


def test_titles_of_tasks_are_all_different() -> None:
    assert len({task_title(name) for name in EVALUATION_TASKS}) == len(EVALUATION_TASKS)
