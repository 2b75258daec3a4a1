"""Evaluations as the views take them: under names that tell them apart, with what was asked in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from api.schemas import EvaluationView
from gift_core.evaluation_spec import EvaluationPlan
from gift_core.tasks.items import EvaluationTask, GeneratedItems, HubItems
from gift_core.tasks.registry import EVALUATION_TASKS, TASKS


def plan_of(view: EvaluationView) -> EvaluationPlan:
    """What was asked, without its items."""
    order = view.order
    return EvaluationPlan(task=order.task, sampling=order.sampling, lengths=order.lengths, seeds=order.seeds)


def entries_of(views: Sequence[EvaluationView], titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """The views, each with `name`, `about`, the conditions that were `asked`, and whether responses' begin is `given`.

    `titles` are the checkpoints' names together with their experiments'.
    """
    return [
        view.model_dump(mode="json")
        | {
            "name": name,
            "about": about(view),
            "asked": [{"length": sampling.length, "seed": seed} for sampling, seed in plan_of(view).conditions()],
            "given": view.order.task not in TASKS,
        }
        for view, name in zip(views, _names(views, titles), strict=True)
    ]


def task_of(name: str) -> EvaluationTask:
    """The task of this name."""
    return next(task for task in EVALUATION_TASKS.values() if task.name == name)


def task_title(name: str) -> str:
    """A task's title; the benchmark that shares it with a built-in task says what it is."""
    task = task_of(name)
    shared = name not in TASKS and task.title in {each.title for each in TASKS.values()}
    return f"{task.title}, benchmark" if shared else task.title


def about(view: EvaluationView) -> str:
    """Task, items, and how they were asked."""
    plan, source = plan_of(view), view.order.source
    sampling = plan.denoiser()
    lengths = plan.lengths or (sampling.length,)
    parts = [
        task_title(view.order.task),
        _items_in_words(view),
        f"{_listed(lengths)} tokens",
        f"{sampling.steps} steps" if len(lengths) == 1 and lengths[0] == sampling.length else "",
        f"seeds {_listed(plan.seeds)}" if len(plan.seeds) > 1 else "",
        f"temperature {sampling.temperature:g}" if sampling.temperature else "",
        f"list {source.seed}" if isinstance(source, GeneratedItems) and source.seed else "",
    ]
    return " · ".join(part for part in parts if part)


def _items_in_words(view: EvaluationView) -> str:
    source = view.order.source or EVALUATION_TASKS[view.order.task].default_source
    if isinstance(source, GeneratedItems):
        level = f"{source.difficulty or 'standard'}, " if view.order.task in TASKS else ""
        return f"{level}{source.count:,} items"
    where = "from the Hub" if isinstance(source, HubItems) else "from a file"
    first = getattr(source, "first", None)
    return f"the first {first:,} items {where}" if first else f"items {where}"


def _names(views: Sequence[EvaluationView], titles: Mapping[str, str]) -> list[str]:
    """The checkpoints' labels; with their experiments where those are alike, and settings where these are too."""
    labels = [view.label for view in views]
    checkpoints = [view.order.checkpoint for view in views]
    named = [
        label if _checkpoints_called(label, labels, checkpoints) == 1 else titles.get(checkpoint, label)
        for label, checkpoint in zip(labels, checkpoints, strict=True)
    ]
    settings = [_settings(view) for view in views]
    names = []
    for name, own in zip(named, settings, strict=True):
        alike = [each for each, other in zip(settings, named, strict=True) if other == name]
        differing = [key for key in own if any(each[key] != own[key] for each in alike)]
        names.append(", ".join([name, *(f"{key} {own[key]}" for key in differing)]))
    return names


def _checkpoints_called(label: str, labels: Sequence[str], checkpoints: Sequence[str]) -> int:
    return len({checkpoint for each, checkpoint in zip(labels, checkpoints, strict=True) if each == label})


def _settings(view: EvaluationView) -> dict[str, str]:
    """Everything in which two evaluations of a checkpoint can differ, by name."""
    plan = plan_of(view)
    values = plan.denoiser().model_dump()
    lengths = plan.lengths or (values.pop("length"),)
    values.pop("length", None)
    described = {name.replace("_", " "): str(value) for name, value in values.items()}
    return {
        "task": task_title(view.order.task),
        "items": _items_in_words(view),
        "length": _listed(lengths),
        **described,
        "seed": _listed(plan.seeds),
    }


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
