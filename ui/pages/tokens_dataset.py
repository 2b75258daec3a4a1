"""The Tokens page's second half: which tokens of a data set checkpoints are most and least sure of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import gradio as gr
from pydantic import Field

from gift_core.data_spec import Difficulty, TaskSource
from gift_core.tasks.registry import TASKS
from ui.client import StudioClient
from ui.components import data_of, view
from ui.connection import StudioError
from ui.forms import difficulty_choices, file_source, task_choices
from ui.links import REMEMBER, address, linked
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
                look = gr.Button("Look at the data set", variant="primary", elem_id="look")
            with gr.Column(scale=9, min_width=320):
                problems = view("problems", "data-problems")
                result = view("dataset", "dataset")
        # Whether the page's own link asks for a look.
        self._asked = gr.State(False)
        self._inputs = [checkpoints, self._source, self._level, self._examples, power]
        self._outputs = [result, problems, link]
        self._options: dict[str, Any] = {"api_visibility": "private", "show_progress_on": result}
        self._source.change(
            _level_of, self._source, self._level, queue=False, api_visibility="private", show_progress="hidden"
        )
        look.click(self._look, self._inputs, self._outputs, **self._options).then(None, link, None, js=REMEMBER)
        result.submit(self._cancel, None, problems, api_visibility="private", show_progress="hidden")

    @property
    def fields(self) -> list[Any]:
        """What `opened` sets."""
        return [self._source, self._level, self._examples, self._asked]

    def opened(self, given: Mapping[str, str], task: str) -> tuple[Any, ...]:
        """Updates of `fields` for a link; `task` is where it says nothing."""
        try:
            files = [(f"{each.name} · {each.rows:,} rows", each.id) for each in self._client.datasets()]
        except StudioError as error:
            raise gr.Error(str(error), duration=None, print_exception=False) from error
        choices = [*task_choices(), *files]
        wanted = given.get("data", task)
        known = wanted if wanted in {identity for _, identity in choices} else task
        if wanted != known:
            gr.Warning("The link's data set is not here any more.")
        level = linked(given, "level", Difficulty, _STANDARD)
        examples = linked(given, "examples", _Examples, _DEFAULT_EXAMPLES)
        return gr.update(choices=choices, value=known), level, examples, given.get("section") == "data"

    def open_after(self, loaded: Any) -> None:
        """Looks once the page has been filled in, if its link asks for that."""
        loaded.then(self._look_if_asked, [self._asked, *self._inputs], self._outputs, **self._options)

    def _look_if_asked(self, asked: bool, *inputs: Any) -> tuple[Any, Any, Any]:
        return self._look(*inputs) if asked else (gr.skip(), gr.skip(), gr.skip())

    def _look(
        self, checkpoints: list[str], source: str, level: str, examples: int, power: float
    ) -> tuple[str, str, str]:
        run = {"data": {"source": _source_of(source, level, examples)}, "objective": {"power": power}}
        try:
            begun = self._client.start_dataset_inspection(checkpoints, run, examples=examples)
        except StudioError as error:
            return "", refusal("Nothing to show", error), ""
        parameters = {"data": source, "level": level if source in TASKS else "", "examples": str(examples)}
        link = address("tokens", section="data", checkpoints=checkpoints, power=f"{power:g}", **parameters)
        return data_of({"inspection": begun.model_dump(mode="json"), "api": _API}), "", link

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
