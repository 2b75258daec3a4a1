"""Evaluate: how many items of a list checkpoints solve, and whether they differ."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from api.schemas import EvaluationView
from gift_core.data_spec import TaskSource
from gift_core.errors import Problem
from ui.client import StudioClient
from ui.components import NOTHING, data_of, view
from ui.connection import StudioError
from ui.links import REMEMBER, address, identifiers, parameters
from ui.pages.checkpoints import Choices, load_choices
from ui.pages.evaluation_entries import entries_of
from ui.pages.evaluation_form import EvaluationForm
from ui.pages.problems import problems_of, refusal, said

_INTRODUCTION = """## How many problems are solved?
Every checkpoint answers the same items, on the same noise. A difference counts only where its interval leaves out zero.
"""
# As the browser reaches it from this page.
_API = "api/v1"
_LISTED = 200
# Of evaluations side by side, and of checkpoints that are asked at once.
_MOST_OPEN, _MOST_CHECKPOINTS = 8, 4
_NOTHING_BEGAN = "Nothing was evaluated"


class EvaluatePage:
    """`/evaluate?evaluations=…,…`; without a parameter nothing is open, and the form has the newest experiment."""

    def __init__(self, demo: gr.Blocks, client: StudioClient) -> None:
        self._client = client
        gr.Markdown(_INTRODUCTION)
        link, opened = gr.Textbox(visible=False), gr.JSON([], visible=False)
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=280):
                self._form = EvaluationForm()
                # Until the page has been filled there is nothing to ask for.
                evaluate = gr.Button("Evaluate", variant="primary", interactive=False, elem_id="evaluate")
            with gr.Column(scale=9, min_width=320):
                problems = view("problems", "evaluate-problems")
                board = view("evaluation", "evaluation")
                gr.Markdown("### All evaluations")
                evaluations = view("evaluations", "evaluations")
        self._problems, self._button = problems, evaluate
        self._shown = [board, evaluations, problems, opened, link]
        # Answered at once, and so without the queue, for whose answers a tab holds a connection open.
        options: dict[str, Any] = {"api_visibility": "private", "show_progress_on": board, "queue": False}
        demo.load(self._open, None, [*self._form.inputs, *self._shown, evaluate], **options)
        evaluate.click(self._evaluate, self._form.inputs, self._shown, **options).then(None, link, None, js=REMEMBER)
        # multiple: who stops one and then the next must not wait for the first to be answered.
        stopping = {"api_visibility": "private", "show_progress": "hidden", "trigger_mode": "multiple", "queue": False}
        board.submit(self._act, opened, self._shown, **stopping)
        self._wire_form()

    def _wire_form(self) -> None:
        form, quick = self._form, {"queue": False, "api_visibility": "private"}
        form.task.select(form.for_task, form.task, form.of_task, **quick)
        form.kind.input(form.for_kind, [form.task, form.kind], form.of_kind, **quick)
        form.upload.upload(
            self._receive, [form.task, form.upload], [form.dataset, self._problems], api_visibility="private"
        )
        form.upload.clear(lambda: "", None, form.dataset, **quick)

    def _open(self, request: gr.Request) -> dict[Any, Any]:
        problems: list[Problem] = []
        wanted = identifiers(parameters(request), "evaluations", _MOST_OPEN, problems)
        choices = load_choices(self._client, request)
        task, level = self._own_task(choices)
        found, gone = self._find(wanted)
        problems += [*gone, *choices.problems]
        known = {identity for _, identity in choices.checkpoints}
        asked = [each.order.checkpoint for each in found if each.order.checkpoint in known]
        chosen = list(dict.fromkeys(asked))[:_MOST_CHECKPOINTS] or choices.chosen
        trouble = said("Not everything in this link can be shown", problems)
        return {
            **(self._form.as_asked(found[0]) if found else self._form.at_default(task, level)),
            self._form.checkpoints: gr.update(choices=choices.checkpoints, value=chosen),
            self._button: gr.update(interactive=True),
            **self._show(found, trouble),
        }

    def _own_task(self, choices: Choices) -> tuple[str, str | None]:
        """Task and level that the chosen checkpoints were trained on."""
        owners = {each.id: each.experiment for each in self._client.checkpoints()}
        wanted = {owners.get(each) for each in choices.chosen} - {None}
        for experiment in self._client.experiments(limit=_LISTED):
            source = experiment.spec.run.data.source
            if experiment.id in wanted and isinstance(source, TaskSource):
                return source.task, source.difficulty
        return choices.first.task, None

    def _find(self, ids: Sequence[str]) -> tuple[list[EvaluationView], list[Problem]]:
        """The evaluations there are, and what is to be said about the others."""
        found: list[EvaluationView] = []
        refusals: list[Problem] = []
        for identity in dict.fromkeys(ids):
            try:
                found.append(self._client.evaluation(identity, scores=False))
            except StudioError as error:
                refusals += error.problems
        return found, refusals

    def _evaluate(self, values: dict[Any, Any]) -> dict[Any, Any]:
        try:
            order = self._form.order(values)
            if order["source"].get("dataset", "") is None:
                missing = Problem("No file is there yet.", "source.dataset", "Drop one, or choose the task's own list.")
                return {self._problems: problems_of(_NOTHING_BEGAN, missing)}
            return self._show(self._client.evaluate(order))
        except StudioError as error:
            return {self._problems: refusal(_NOTHING_BEGAN, error)}

    def _act(self, opened: list[str] | None, event: gr.EventData) -> dict[Any, Any]:
        data: dict[str, Any] = event._data or {}
        identity = str(data.get("evaluation"))
        try:
            if data.get("name") == "stop":
                self._client.stop_evaluation(identity)
                return {self._problems: ""}
            order = self._client.evaluation(identity, scores=False).order.model_dump(mode="json")
            self._client.evaluate({"checkpoints": [order.pop("checkpoint")], **order})
        except StudioError as error:
            return {self._problems: refusal("This was not done", error)}
        found, gone = self._find([str(identity) for identity in opened or []][:_MOST_OPEN])
        return self._show(found, said("This cannot be shown", gone))

    def _receive(self, task: str, path: str | None) -> tuple[str, str]:
        """Hand a file to the backend, which reads every row as a problem of the task."""
        if path is None:
            return "", ""
        try:
            return self._client.upload(Path(path), Path(path).name, task).id, ""
        except StudioError as error:
            return "", refusal("This file cannot be used", error)

    def _show(self, found: Sequence[EvaluationView], trouble: str = "") -> dict[Any, Any]:
        """Values of the views, what is open, and the address that opens it again."""
        board, evaluations, problems, opened, link = self._shown
        try:
            listed, titles = self._client.evaluations(limit=_LISTED), self._titles()
        except StudioError as error:
            return {problems: refusal("This cannot be shown", error)}
        ids = [each.id for each in found]
        names = ({"name": titles.get(each.order.checkpoint, each.label)} for each in listed)
        everything = [
            entry | name for each, name in zip(listed, names, strict=True) for entry in entries_of([each], titles)
        ]
        # The time makes it a new value: an evaluation that is gone on with is drawn again.
        shown = {"api": _API, "evaluations": entries_of(found, titles), "at": time.time()}
        return {
            board: data_of(shown) if found else NOTHING,
            evaluations: data_of({"api": _API, "opened": ids, "most": _MOST_OPEN, "evaluations": everything}),
            problems: trouble,
            opened: ids,
            link: address("evaluate", evaluations=ids),
        }

    def _titles(self) -> dict[str, str]:
        names = {each.id: each.name for each in self._client.experiments(limit=_LISTED)}
        return {
            each.id: f"{each.label} · {names.get(each.experiment, each.experiment)}" if each.experiment else each.label
            for each in self._client.checkpoints()
        }
