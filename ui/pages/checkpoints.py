"""What Tokens and Denoise offer to choose from, and what a link preselects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from api.schemas import CheckpointView, ExampleView
from gift_core.data_spec import TaskSource
from gift_core.errors import Problem
from ui.client import StudioClient
from ui.connection import StudioError
from ui.links import identifiers, parameters

_MOST = 4


@dataclass(frozen=True)
class Choices:
    """Checkpoints as (label, id), those chosen, the held-out examples, and the one to begin with. `problems` are what
    the link names and there is not: nothing else is chosen in its place."""

    checkpoints: list[tuple[str, str]]
    chosen: list[str]
    examples: list[ExampleView]
    first: ExampleView
    problems: list[Problem]

    def checkpoint_input(self) -> Any:
        """An update for the checkpoints' dropdown."""
        return gr.update(choices=self.checkpoints, value=self.chosen)

    def example_input(self, prompt: str) -> Any:
        """An update for the examples' dropdown: none is chosen when the prompt is the user's own."""
        titles = [example.title for example in self.examples]
        current = next((example.title for example in self.examples if example.prompt == prompt), None)
        return gr.update(choices=titles, value=current)


def checkpoint_dropdown(**options: Any) -> gr.Dropdown:
    """The input for checkpoints, which says how many there may be: one more is not taken."""
    info = f"Up to {_MOST}. Take one out to choose another."
    return gr.Dropdown(
        [], multiselect=True, max_choices=_MOST, label="Checkpoints", info=info, elem_id="checkpoints", **options
    )


def need_checkpoints(chosen: Sequence[str] | None) -> list[str]:
    """What is chosen; raises `StudioError` where that is nothing."""
    if not chosen:
        raise StudioError([Problem("No checkpoint is chosen.", "checkpoints", "Choose one.")], 422)
    return list(chosen)


def example_called(client: StudioClient, title: str | None) -> ExampleView | None:
    """The held-out example of that title; None where there is no such one any more."""
    return next((each for each in client.examples() if each.title == title), None)


def load_choices(client: StudioClient, request: gr.Request, shown: Sequence[str] = ()) -> Choices:
    """Choices of the page that `request` opens: checkpoints of its link, those of what it shows, those of its
    experiment, or of the newest one."""
    checkpoints = client.checkpoints()
    experiments = {experiment.id: experiment for experiment in client.experiments(limit=200)}
    names = {identity: experiment.name for identity, experiment in experiments.items()}
    labelled = [(_label(checkpoint, names), checkpoint.id) for checkpoint in checkpoints]
    known = {checkpoint.id: checkpoint for checkpoint in checkpoints}
    given = parameters(request)
    problems: list[Problem] = []
    if "checkpoints" in given:
        wanted: Sequence[str] | None = identifiers(given, "checkpoints", _MOST, problems)
    else:
        wanted = list(dict.fromkeys(shown))[:_MOST] or None
    if wanted is None:
        chosen = _preselected(client, checkpoints, given.get("experiment"), problems)
    else:
        chosen = [each for each in wanted if each in known]
        problems += [_unknown_checkpoint(each) for each in wanted if each not in known]
    examples = client.examples()
    sources = (experiments[name].spec.run.data.source for name in _experiments_of(chosen, known) if name in experiments)
    tasks = {source.task for source in sources if isinstance(source, TaskSource)}
    first = next((example for example in examples if example.task in tasks), examples[0])
    if "example" in given:
        first = next((example for example in examples if example.title == given["example"]), first)
        if first.title != given["example"]:
            message = f"There is no example {given['example'][:80]!r}."
            problems.append(Problem(message, "example", f"It is {first.title!r} instead."))
    return Choices(labelled, chosen, examples, first, problems)


def _unknown_checkpoint(identity: str) -> Problem:
    message = f"There is no checkpoint {identity[:80]!r}: it was removed, or its run has not left any."
    return Problem(message, "checkpoints", "Choose another from the list.")


def _preselected(
    client: StudioClient, checkpoints: list[CheckpointView], experiment: str | None, problems: list[Problem]
) -> list[str]:
    bases = [checkpoint.id for checkpoint in checkpoints if checkpoint.experiment is None]
    runs = [checkpoint for checkpoint in checkpoints if checkpoint.experiment is not None]
    wanted = experiment or (runs[0].experiment if runs else None)
    found = [run.id for run in runs if run.experiment == wanted]
    if experiment and not found:
        try:
            name = client.experiment(experiment).name
        except StudioError as error:
            problems += error.problems
            return []
        message = f"No run of {name} has left a checkpoint yet."
        problems.append(Problem(message, "experiment", "Wait for the first one to end, or choose another checkpoint."))
    return (bases[:1] + found)[:_MOST]


def _experiments_of(chosen: list[str], known: dict[str, CheckpointView]) -> Iterator[str]:
    for identity in chosen:
        if experiment := known[identity].experiment:
            yield experiment


def _label(checkpoint: CheckpointView, names: dict[str, str]) -> str:
    if checkpoint.experiment is None:
        return checkpoint.label
    return f"{checkpoint.label} · {names.get(checkpoint.experiment, checkpoint.experiment)}"
