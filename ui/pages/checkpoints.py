"""What Tokens and Denoise offer to choose from, and what a link preselects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from api.schemas import CheckpointView, ExampleView
from gift_core.data_spec import TaskSource
from ui.client import StudioClient
from ui.links import parameters

_MOST = 4


@dataclass(frozen=True)
class Choices:
    """Checkpoints as (label, id), those chosen, the held-out examples, and the one to begin with."""

    checkpoints: list[tuple[str, str]]
    chosen: list[str]
    examples: list[ExampleView]
    first: ExampleView

    def checkpoint_input(self) -> Any:
        """An update for the checkpoints' dropdown."""
        return gr.update(choices=self.checkpoints, value=self.chosen)

    def example_input(self, prompt: str) -> Any:
        """An update for the examples' dropdown: none is chosen when the prompt is the user's own."""
        titles = [example.title for example in self.examples]
        current = next((example.title for example in self.examples if example.prompt == prompt), None)
        return gr.update(choices=titles, value=current)


def load_choices(client: StudioClient, request: gr.Request, shown: Sequence[str] = ()) -> Choices:
    """Choices of the page that `request` opens: checkpoints of its link, those of what it shows, those of its
    experiment, or of the newest one."""
    checkpoints = client.checkpoints()
    experiments = {experiment.id: experiment for experiment in client.experiments(limit=200)}
    names = {identity: experiment.name for identity, experiment in experiments.items()}
    labelled = [(_label(checkpoint, names), checkpoint.id) for checkpoint in checkpoints]
    known = {checkpoint.id: checkpoint for checkpoint in checkpoints}
    given = parameters(request)
    wanted = given["checkpoints"].split(",") if "checkpoints" in given else list(dict.fromkeys(shown))
    linked = [part for part in wanted if part in known][:_MOST]
    chosen = linked or _preselected(checkpoints, given.get("experiment"))
    examples = client.examples()
    sources = (experiments[name].spec.run.data.source for name in _experiments_of(chosen, known) if name in experiments)
    tasks = {source.task for source in sources if isinstance(source, TaskSource)}
    first = next((example for example in examples if example.task in tasks), examples[0])
    return Choices(labelled, chosen, examples, first)


def _preselected(checkpoints: list[CheckpointView], experiment: str | None) -> list[str]:
    bases = [checkpoint.id for checkpoint in checkpoints if checkpoint.experiment is None]
    runs = [checkpoint for checkpoint in checkpoints if checkpoint.experiment is not None]
    wanted = experiment or (runs[0].experiment if runs else None)
    return (bases[:1] + [run.id for run in runs if run.experiment == wanted])[:_MOST]


def _experiments_of(chosen: list[str], known: dict[str, CheckpointView]) -> Iterator[str]:
    for identity in chosen:
        if experiment := known[identity].experiment:
            yield experiment


def _label(checkpoint: CheckpointView, names: dict[str, str]) -> str:
    if checkpoint.experiment is None:
        return checkpoint.label
    return f"{checkpoint.label} · {names.get(checkpoint.experiment, checkpoint.experiment)}"
