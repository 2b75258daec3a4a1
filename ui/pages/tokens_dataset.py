"""The Tokens page's second half: which tokens of a data set checkpoints are most and least sure of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import gradio as gr
from pydantic import Field

from api.schemas import DatasetInspectionView
from gift_core.data_spec import Difficulty, TaskSource
from gift_core.errors import Problem
from gift_core.tasks.registry import TASKS
from ui.client import StudioClient
from ui.components import NOTHING, data_of, view
from ui.connection import StudioError
from ui.forms import difficulty_choices, file_source, task_choices
from ui.links import REMEMBER, address, linked
from ui.pages.checkpoints import need_checkpoints
from ui.pages.problems import refusal

# As the browser reaches it from this page.
_API = "api/v1"
_EXPLANATION = """The same for many examples at once: which tokens get GIFT's attention in all of a data set, by
token, by kind and by place. For a run's own data, choose the task that it was trained on."""
_DEFAULT_EXAMPLES, _MOST_EXAMPLES = 256, 2000
_FIRST_TASK: str = TaskSource.model_fields["task"].default
_STANDARD: Difficulty = TaskSource.model_fields["difficulty"].default
_GENERATED: int = TaskSource.model_fields["examples"].default
_Examples = Annotated[int, Field(ge=1, le=_MOST_EXAMPLES)]


class DatasetSection:
    """Its link is `/tokens?section=data&checkpoints=…,…&data=countdown&level=hard&examples=256`."""

    def __init__(self, client: StudioClient, checkpoints: gr.Dropdown, power: gr.Slider, link: gr.Textbox) -> None:
        self._client = client
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=280):
                gr.Markdown(_EXPLANATION)
                self._source = gr.Dropdown(
                    task_choices(),
                    value=_FIRST_TASK,
                    label="Data",
                    info="A built-in task, or a file that was uploaded on the Launch page.",
                    elem_id="data-source",
                )
                self._level = gr.Dropdown(
                    difficulty_choices(_FIRST_TASK), value=_STANDARD, label="Difficulty", elem_id="data-level"
                )
                self._examples = gr.Number(
                    _DEFAULT_EXAMPLES,
                    precision=0,
                    minimum=1,
                    maximum=_MOST_EXAMPLES,
                    label="Examples",
                    info="At most so many are looked at.",
                    elem_id="data-examples",
                )
                # Until the page has been filled there is nothing to ask for.
                self._button = gr.Button("Look at the data set", variant="primary", interactive=False, elem_id="look")
            with gr.Column(scale=9, min_width=320):
                problems = view("problems", "data-problems")
                result = view("dataset", "dataset")
        # The id of the look that the page's own link names.
        self._opened = gr.Textbox(visible=False)
        self._inputs = [checkpoints, self._source, self._level, self._examples, power]
        self._outputs = [result, problems, link]
        self._options: dict[str, Any] = {"api_visibility": "private", "show_progress_on": result}
        self._source.change(
            _level_of, self._source, self._level, queue=False, api_visibility="private", show_progress="hidden"
        )
        self._button.click(self._look, self._inputs, self._outputs, **self._options).then(None, link, None, js=REMEMBER)
        result.submit(self._cancel, None, problems, api_visibility="private", show_progress="hidden")

    @property
    def fields(self) -> list[Any]:
        """What `opened` sets."""
        return [self._source, self._level, self._examples, self._button, self._opened]

    def opened(self, given: Mapping[str, str], task: str, problems: list[Problem]) -> tuple[Any, ...]:
        """Updates of `fields` for a link; `task` is where it says nothing; what cannot be used of it is added to
        `problems`."""
        files = [(f"{each.name} · {each.rows:,} rows", each.id) for each in self._client.datasets()]
        choices = [*task_choices(), *files]
        wanted = given.get("data", task)
        known = wanted if wanted in {identity for _, identity in choices} else None
        if known is None:
            message = f"There is no data set {wanted[:80]!r} any more."
            problems.append(Problem(message, "data", "Choose another."))
        level = linked(given, "level", Difficulty, _STANDARD, problems)
        examples = linked(given, "examples", _Examples, _DEFAULT_EXAMPLES, problems)
        source = gr.update(choices=choices, value=known)
        return source, level, examples, gr.update(interactive=True), given.get("dataset", "")

    def open_after(self, loaded: Any) -> None:
        """Shows the look that the page's link names, once the page has been filled in; a link begins none."""
        loaded.success(self._show_opened, self._opened, self._outputs, **self._options)

    def _show_opened(self, opened: str) -> tuple[Any, Any, Any]:
        if not opened:
            return NOTHING, gr.skip(), gr.skip()
        try:
            return self._shown(self._client.dataset_inspection(opened)), "", gr.skip()
        except StudioError as error:
            return NOTHING, refusal("This cannot be shown", error), gr.skip()

    def _look(
        self,
        checkpoints: list[str] | None,
        source: str | None,
        level: str | None,
        examples: int | None,
        power: float | None,
    ) -> tuple[str, str, str]:
        try:
            chosen = need_checkpoints(checkpoints)
            if source is None:
                raise StudioError([Problem("No data is chosen.", "data", "Choose a task or a file.")], 422)
            if examples is None:
                message = "The number of examples is missing."
                raise StudioError([Problem(message, "examples", f"Enter 1 to {_MOST_EXAMPLES:,}.")], 422)
            objective = {} if power is None else {"power": power}
            run = {"data": {"source": _source_of(source, level or _STANDARD, examples)}, "objective": objective}
            begun = self._client.start_dataset_inspection(chosen, run, examples=examples)
        except StudioError as error:
            return NOTHING, refusal("Nothing to show", error), ""
        parameters = {"data": source, "level": (level or "") if source in TASKS else "", "examples": str(examples)}
        of_power = "" if power is None else f"{power:g}"
        link = address("tokens", section="data", dataset=begun.id, checkpoints=chosen, power=of_power, **parameters)
        return self._shown(begun), "", link

    @staticmethod
    def _shown(inspection: DatasetInspectionView) -> str:
        return data_of({"inspection": inspection.model_dump(mode="json"), "api": _API})

    def _cancel(self, event: gr.EventData) -> str:
        data: dict[str, Any] = event._data or {}
        try:
            self._client.cancel_dataset_inspection(str(data.get("id")))
        except StudioError as error:
            return refusal("It was not cancelled", error)
        return ""


def _source_of(source: str, level: str, examples: int) -> dict[str, Any]:
    if source not in TASKS:
        return file_source(source)
    # As many as a run has by default, so that what is looked at is what such a run learns from.
    return {"kind": "task", "task": source, "difficulty": level, "examples": max(_GENERATED, examples or 0)}


def _level_of(source: str) -> Any:
    """Levels are a task's own; a file has none, and the hidden choice stays what it was."""
    if source not in TASKS:
        return gr.update(visible=False)
    return gr.update(choices=difficulty_choices(source), visible=True)
