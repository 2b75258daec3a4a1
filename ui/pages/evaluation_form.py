"""The form of the page Evaluate: which list, how it is asked, and what each task offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from api.schemas import EvaluationView
from gift_core.errors import Problem
from gift_core.evaluation_spec import EvaluationPlan
from gift_core.spec import SamplingSpec
from gift_core.tasks.items import GeneratedItems
from gift_core.tasks.registry import EVALUATION_TASKS, TASKS
from ui.components import kept
from ui.connection import StudioError
from ui.forms import difficulty_choices, nested, sampling_inputs, shown
from ui.pages.checkpoints import checkpoint_dropdown, need_checkpoints
from ui.pages.evaluation_entries import task_of, task_title

OWN_LIST, FILE = "The task's list", "My own file"
_NEEDS: Mapping[str, str] = {
    "gsm8k": "1,319 items of `openai/gsm8k`. They come from the Hub, which needs the internet, or from a file "
    "with the columns `question` and `answer`.",
    "math500": "500 items of `HuggingFaceH4/MATH-500`. They come from the Hub, which needs the internet, or from "
    "a file with the columns `problem` and `answer`.",
    "countdown3": "Generated here, or from a file with the columns `nums` and `target`.",
    "sudoku4x4": "Generated here, or from a file with the columns `puzzle` and `solution`.",
}
_BUILT_IN = "Generated here, from problems that no run on a built-in task learns from."
_UPLOAD_LABEL, _UPLOADED_LABEL = "JSONL, JSON, CSV or Parquet", "The open evaluation's file; drop another to change it"
_UPLOAD_TYPES = [".jsonl", ".ndjson", ".json", ".csv", ".parquet"]


class EvaluationForm:
    """Inputs for an order of evaluations. Methods that change them give updates by input."""

    def __init__(self) -> None:
        self.checkpoints = checkpoint_dropdown()
        choices = [(task_title(name), name) for name in EVALUATION_TASKS]
        self.task = gr.Dropdown(choices, value="sudoku", label="Task", elem_id="evaluation-task")
        self.needs = gr.Markdown(_BUILT_IN, elem_classes="form-help")
        self.kind = gr.Radio([OWN_LIST, FILE], value=OWN_LIST, label="Items", visible=False, elem_id="items-kind")
        self.level = gr.Dropdown(difficulty_choices("sudoku"), value="standard", label="Level", elem_id="level")
        with gr.Row():
            self.count = gr.Number(256, precision=0, minimum=1, label="Number of items", min_width=110, elem_id="count")
            self.list_seed = gr.Number(0, precision=0, minimum=0, label="Seed of the list", min_width=110)
            self.first = gr.Textbox("", label="Only the first", info="Empty: all", visible=False, min_width=110)
        self.upload = gr.File(
            label=_UPLOAD_LABEL, file_types=_UPLOAD_TYPES, visible=False, elem_id="items-upload", height=140
        )
        self.dataset = kept()
        with gr.Row():
            self.lengths = gr.Textbox(
                "",
                label="Lengths",
                info="In tokens: 128, 256",
                placeholder="as in Sampling",
                min_width=110,
                elem_id="lengths",
            )
            self.seeds = gr.Textbox(
                "0", label="Seeds", info="Of the noise: 1, 2, 3", min_width=110, elem_id="evaluation-seeds"
            )
        with gr.Accordion("Sampling", open=False, elem_id="section-sampling"):
            self.sampling = sampling_inputs()

    @property
    def inputs(self) -> set[Any]:
        """Everything that `order` reads."""
        return {self.checkpoints, self.lengths, self.seeds, *self.of_task}

    @property
    def of_task(self) -> set[Any]:
        """What goes with a task."""
        return {self.task, self.needs, self.dataset, *self.of_kind, *self.sampling.values()}

    @property
    def of_kind(self) -> set[Any]:
        """What goes with a list of the task's own, or with a file."""
        return {self.kind, self.level, self.count, self.list_seed, self.first, self.upload}

    def for_task(self, task: str) -> dict[Any, Any]:
        """The inputs that a task has, at its defaults. What was uploaded for another one is not for this one."""
        return {
            self.needs: _NEEDS.get(task, _BUILT_IN),
            self.dataset: "",
            **self.for_kind(task, OWN_LIST),
            **self._sampled(_default_sampling(task)),
        }

    def for_kind(self, task: str, kind: str) -> dict[Any, Any]:
        """The inputs that a list of the task's own has, or a file."""
        generated = kind == OWN_LIST and _is_generated(task)
        levels = difficulty_choices(task)
        return {
            self.kind: gr.update(visible=task not in TASKS, value=kind),
            self.level: gr.update(choices=levels, value="standard" if levels else None, visible=bool(levels)),
            self.count: gr.update(visible=generated),
            self.list_seed: gr.update(visible=generated),
            self.first: gr.update(visible=not generated),
            self.upload: gr.update(visible=kind == FILE, value=None, label=_UPLOAD_LABEL),
        }

    def at_default(self, task: str, level: str | None) -> dict[Any, Any]:
        """The whole form for a task, at a level of it."""
        filled = {self.task: task, self.lengths: "", self.seeds: "0", **self.for_task(task)}
        if level:
            filled[self.level]["value"] = level
        return filled

    def as_asked(self, view: EvaluationView) -> dict[Any, Any]:
        """The whole form as it was when somebody asked for this evaluation."""
        order, source = view.order, view.order.source
        filled = self.at_default(order.task, None) | {
            self.lengths: ", ".join(map(str, order.lengths)),
            self.seeds: ", ".join(map(str, order.seeds)),
        }
        if order.sampling:
            filled |= self._sampled(order.sampling)
        if isinstance(source, GeneratedItems):
            filled[self.level]["value"] = source.difficulty or filled[self.level]["value"]
            filled[self.count]["value"], filled[self.list_seed]["value"] = source.count, source.seed
        elif source:
            if source.kind == "dataset":
                filled |= self.for_kind(order.task, FILE) | {self.dataset: source.dataset}
                filled[self.upload]["label"] = _UPLOADED_LABEL
            filled[self.first]["value"] = str(source.first or "")
        return filled

    def order(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """The form as a request for the backend to judge; raises `StudioError` for what is missing."""
        task = values[self.task]
        if task is None:
            raise StudioError([Problem("No task is chosen.", "task", "Choose one.")], 422)
        given = nested({path: values[part] for path, part in self.sampling.items()}).get("sampling", {})
        return {
            "checkpoints": need_checkpoints(values[self.checkpoints]),
            "task": task,
            "source": self._source(values),
            # Left out where it is the default: then it is the same evaluation as one asked for without it.
            "sampling": None if _is_default(given, task) else given,
            "lengths": _parts(values[self.lengths]),
            "seeds": _parts(values[self.seeds]) or ["0"],
        }

    def _source(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        task = values[self.task]
        first = str(values[self.first] or "").strip() or None
        if task not in TASKS and values[self.kind] == FILE:
            return {"kind": "dataset", "dataset": values[self.dataset] or None, "first": first}
        if not _is_generated(task):
            return {"kind": "hub", "first": first}
        level = {"difficulty": values[self.level]} if task in TASKS else {}
        numbers = {"count": (self.count, "number of items"), "seed": (self.list_seed, "seed of the list")}
        missing = [
            Problem(f"The {title} is missing.", f"source.{name}", "Enter a whole number.")
            for name, (part, title) in numbers.items()
            if values[part] is None
        ]
        if missing:
            raise StudioError(missing, 422)
        return {"kind": "generated", **{name: values[part] for name, (part, _) in numbers.items()}, **level}

    def _sampled(self, sampling: SamplingSpec) -> dict[Any, Any]:
        values = {f"sampling.{name}": value for name, value in sampling}
        return {
            part: gr.update(value="" if values[path] is None else shown(values[path]))
            for path, part in self.sampling.items()
        }


def _is_generated(task: str) -> bool:
    return isinstance(task_of(task).default_source, GeneratedItems)


def _is_default(given: Mapping[str, Any], task: str) -> bool:
    default = {name: str(shown(value)) for name, value in _default_sampling(task) if value is not None}
    return {name: str(value) for name, value in given.items()} == default


def _default_sampling(task: str) -> SamplingSpec:
    return EvaluationPlan.parse({"task": task}).denoiser()


def _parts(text: str | None) -> list[str]:
    return [part.strip() for part in str(text or "").split(",") if part.strip()]
