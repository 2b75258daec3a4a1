"""Evaluations for the component tests: real answers, scored and compared by the library, as the API would tell them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from api.schemas import AnswerView, EvaluationDetail
from gift_core.evaluation import Generation
from gift_core.evaluation_report import Evaluation, compare_evaluations
from gift_core.evaluation_run import EvaluationHeader
from gift_core.evaluation_spec import EvaluationPlan
from gift_core.spec import SamplingSpec
from gift_core.tasks.items import Item, fingerprint
from tests.ui.component_site import Site
from ui.pages.evaluation_entries import entries_of
from workers.orders import EvaluationOrder
from workers.records import JobState

HOSTILE = "</script><img src=x onerror=alert(1)>"
SEVERAL_SEEDS = SamplingSpec(length=256, block_length=32, steps=128, temperature=0.5)


def items_of(count: int, name: str = "gsm8k") -> list[Item]:
    return [Item(f"{name}/{i}", f"Which number is {i}?\n{HOSTILE}", str(i), "<reasoning>\n") for i in range(count)]


def answer_to(item: Item, solved: bool) -> Generation:
    """A right answer, or one that a spreadsheet would take for a formula."""
    response = (
        f"{HOSTILE}\n  so\n<answer>{item.expected}</answer>" if solved else "=1+1</reasoning><answer>99999</answer>"
    )
    return Generation(item.id, response, 40, True, 128)


@dataclass
class Shown:
    """One evaluation; `solved` says of each condition which of its first items are solved."""

    label: str
    solved: Sequence[Sequence[bool]]
    items: Sequence[Item] = field(default_factory=lambda: items_of(20))
    seeds: tuple[int, ...] = (0,)
    state: JobState = JobState.FINISHED

    @property
    def order(self) -> EvaluationOrder:
        sampling = SEVERAL_SEEDS if len(self.seeds) > 1 else None
        return EvaluationOrder(task="gsm8k", checkpoint=self.label.lower(), seeds=self.seeds, sampling=sampling)

    def evaluation(self) -> Evaluation:
        order = self.order
        plan = EvaluationPlan(task=order.task, seeds=order.seeds, sampling=order.sampling)
        found = [
            {item.id: answer_to(item, each) for item, each in zip(self.items, verdicts, strict=False)}
            for verdicts in self.solved
        ]
        known = {item.id: item for item in self.items}
        scores = [
            {name: plan.evaluation_task.score(known[name], each.response) for name, each in answers.items()}
            for answers in found
        ]
        header = EvaluationHeader(
            model=self.label,
            model_fingerprint="f",
            plan=plan,
            items=len(self.items),
            items_fingerprint=fingerprint(self.items),
            versions={},
        )
        return Evaluation(header, self.items, found, scores)

    def detail(self) -> EvaluationDetail:
        result = self.evaluation().result()
        done = sum(condition.solved.n for condition in result.conditions)
        return EvaluationDetail(
            id=self.order.id,
            label=self.label,
            order=self.order,
            state=self.state,
            done=done,
            total=done + result.missing,
            solved=sum(condition.solved.correct for condition in result.conditions),
            eta_seconds=65.0 if self.state == JobState.RUNNING else None,
            problems=[],
            items=len(self.items),
            items_fingerprint=result.header.items_fingerprint,
            missing=result.missing,
            conditions=result.conditions,
        )


def publish(site: Site, *shown: Shown) -> dict[str, Any]:
    """Let the site answer about these, and give the data of the view that shows them."""
    details = [each.detail() for each in shown]
    found: dict[str, Any] = {}
    for each, detail in zip(shown, details, strict=True):
        found[f"evaluations/{detail.id}"] = detail.model_dump(mode="json")
        for number in range(len(each.solved)):
            address = f"evaluations/{detail.id}/answers?condition={number}&start=0&limit=200"
            found[address] = [row.model_dump(mode="json") for row in answers(each.evaluation(), number)]
        for other, compared in zip(shown, details, strict=True):
            if fingerprint(each.items) == fingerprint(other.items):
                compared_by = compare_evaluations(each.evaluation(), other.evaluation())
                address = f"evaluation-comparisons?first={detail.id}&second={compared.id}"
                found[address] = [length.model_dump(mode="json") for length in compared_by]
    # All at once: a page that is open may ask at any time, and the parts belong together.
    site.documents |= found
    return {"api": "/api", "evaluations": entries_of(details, {})}


def answers(evaluation: Evaluation, condition: int) -> list[AnswerView]:
    generations, scores = evaluation.generations[condition], evaluation.scores[condition]
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
        for item in evaluation.items
        if item.id in generations
    ]
