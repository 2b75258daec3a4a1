"""The launch form, made from the schema: every field's label, bounds and help come from `RunSpec` itself."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, get_args, get_origin

import gradio as gr
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gift_core.data_spec import TaskSource
from gift_core.section import alternatives
from gift_core.spec import RunSpec, SamplingSpec
from gift_core.tasks.registry import TASKS

# Sections of the form in the order they are shown, with the fields of each.
SECTIONS: Mapping[str, tuple[str, ...]] = types.MappingProxyType(
    {
        "Objective": (
            "objective.weighting",
            "objective.power",
            "objective.reference",
            "objective.rate_floor",
            "objective.rate_ceiling",
            "objective.probe",
            "objective.probe_every",
        ),
        "Training": (
            "training.epochs",
            "training.batch_size",
            "training.learning_rate",
            "training.schedule",
            "training.warmup_share",
            "training.weight_decay",
            "training.max_grad_norm",
            "training.normalisation",
            "training.checkpoint_every",
        ),
        "Memory and speed": (
            "training.micro_batch_size",
            "training.precision",
            "model.dtype",
            "training.gradient_checkpointing",
            "training.compile",
        ),
        "Adapter": (
            "training.adapter",
            "model.quantisation",
            "training.lora.rank",
            "training.lora.alpha",
            "training.lora.dropout",
            "training.lora.targets",
        ),
        "Examples and sampling": (
            "data.max_length",
            "data.overlong",
            "data.eos_tail",
            "data.held_out",
            "data.template_date",
            "sampling.length",
            "sampling.block_length",
            "sampling.steps",
            "sampling.temperature",
            "sampling.remasking",
        ),
        "Sampling in detail": (
            "sampling.sampler",
            "sampling.top_p",
            "sampling.cfg_scale",
            "sampling.suppress_eos",
            "sampling.confidence_threshold",
            "sampling.entropy_bound",
            "sampling.stop_early",
            "sampling.cache",
        ),
        "Evaluation": ("evaluation.loss_every", "evaluation.score"),
    }
)
# What of the denoiser most people want to change.
_SAMPLING = tuple(path for path in SECTIONS["Examples and sampling"] if path.startswith("sampling."))
TASK_FIELDS = ("task", "difficulty", "examples", "seed")

_ADAPTED = ("training.adapter", "lora")
# Fields that mean nothing unless another has a certain value: the form shows them, and sends them, only then.
NEEDS: Mapping[str, tuple[str, str]] = types.MappingProxyType(
    {
        "objective.probe_every": ("objective.probe", "every_k"),
        "model.quantisation": _ADAPTED,
        "training.lora.rank": _ADAPTED,
        "training.lora.alpha": _ADAPTED,
        "training.lora.dropout": _ADAPTED,
        "training.lora.targets": _ADAPTED,
    }
)

# What fields are called whose name, outside the spec, says too little.
_LABELS: Mapping[str, str] = types.MappingProxyType(
    {
        "objective.rate_floor": "Least rate",
        "objective.rate_ceiling": "Largest rate",
        "objective.probe_every": "Epochs between probes",
        "training.checkpoint_every": "Steps between checkpoints",
        "training.compile": "Compile the model",
        "model.dtype": "Weights in memory",
        "model.quantisation": "Quantise the base",
        "data.overlong": "Examples that are too long",
        "data.eos_tail": "End-of-text tail",
        "data.held_out": "Held-out examples",
        "data.template_date": "Date in prompts",
        "evaluation.loss_every": "Steps between held-out losses",
        "evaluation.score": "Score at the end",
    }
)


@dataclass(frozen=True)
class Field:
    """A field of the spec as the form shows it."""

    path: str
    info: FieldInfo

    @property
    def label(self) -> str:
        return _LABELS.get(self.path) or self.path.rsplit(".", 1)[-1].replace("_", " ").capitalize()

    @property
    def default(self) -> Any:
        return self.info.get_default(call_default_factory=True)


def field_of(path: str, section: type[BaseModel] = RunSpec) -> Field:
    """The field at a dotted path."""
    *parents, leaf = path.split(".")
    for parent in parents:
        section = next(kind for kind in alternatives(section.model_fields[parent].annotation) if _is_model(kind))
    return Field(path, section.model_fields[leaf])


def section_id(title: str) -> str:
    """The element that holds a section of the form."""
    return f"section-{title.split()[0].lower()}"


def field_id(path: str) -> str:
    """The element that holds a field of the form."""
    return f"field-{path.replace('.', '-')}"


def sampling_inputs() -> dict[str, Any]:
    """An input for each field of the denoiser by its path, in the spec's order; what is seldom changed is folded."""
    inputs = {path: input_for(field_of(path)) for path in _SAMPLING}
    with gr.Accordion("In detail", open=False):
        inputs |= {path: input_for(field_of(path)) for path in SECTIONS["Sampling in detail"]}
    return {f"sampling.{name}": inputs[f"sampling.{name}"] for name in SamplingSpec.model_fields}


def input_for(field: Field, **options: Any) -> gr.components.Component:
    """The Gradio input of a field, with its description as help and its bounds where Gradio knows them."""
    common = {
        "label": field.label,
        "info": field.info.description,
        "value": field.default,
        "interactive": True,
        "elem_id": field_id(field.path),
    } | options
    kinds = alternatives(field.info.annotation)
    choices = [choice for kind in kinds for choice in _choices(kind)]
    if choices and float not in kinds:
        return gr.Dropdown(**({"choices": choices} | common))
    if bool in kinds:
        return gr.Checkbox(**common)
    if int in kinds and float not in kinds and type(None) not in kinds:
        return gr.Number(precision=0, **common)
    # Text for real numbers, since people write 5e-4 and the backend judges what is none; and for what may be empty,
    # since a number input turns empty into 0.
    return gr.Textbox(**(common | {"value": shown(common["value"]), "max_lines": 1}))


def shown(value: Any) -> Any:
    """A value as its input takes it: dates and real numbers as text, which is short unless that would round them."""
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, float):
        return value
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def task_fields() -> list[Field]:
    """The fields of the built-in task."""
    return [Field(f"data.source.{name}", TaskSource.model_fields[name]) for name in TASK_FIELDS]


def task_choices() -> list[tuple[str, str]]:
    """The built-in tasks as (title, name)."""
    return [(task.title, name) for name, task in TASKS.items()]


def difficulty_choices(task: Any) -> list[tuple[str, str]]:
    """What each difficulty means for a task, as (text, name)."""
    return [(f"{level}: {text}", level) for level, text in TASKS[task].levels.items()] if task in TASKS else []


def dependents() -> dict[str, list[str]]:
    """The fields of `NEEDS`, by the field that they depend on."""
    found: dict[str, list[str]] = {}
    for path, (needed, _) in NEEDS.items():
        found.setdefault(needed, []).append(path)
    return found


def in_effect(path: str, values: Mapping[str, Any]) -> bool:
    """Whether a field means anything beside these values of the others."""
    return path not in NEEDS or values.get(NEEDS[path][0]) == NEEDS[path][1]


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted paths as nested dictionaries; empty inputs are left out, so that their default holds."""
    tree: dict[str, Any] = {}
    for path, value in values.items():
        if value is None or value == "":
            continue
        *parents, leaf = path.split(".")
        section = tree
        for parent in parents:
            section = section.setdefault(parent, {})
        section[leaf] = value
    return tree


def file_source(dataset: str, **mapping: str) -> dict[str, Any]:
    """The source of an uploaded data set; `mapping` are the columns that were chosen, for the backend to judge."""
    return {"kind": "file", "dataset": dataset, **mapping}


def _choices(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) is Literal else ()


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
