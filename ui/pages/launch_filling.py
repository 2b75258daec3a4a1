"""The launch form filled with what a preset says, or with what was asked for before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from gift_core.data_spec import FileSource, TaskSource
from gift_core.errors import Problem, SpecError
from gift_core.spec import ExperimentSpec
from ui.connection import StudioError
from ui.forms import NEEDS, in_effect, shown
from ui.pages.known_data import KnownData
from ui.pages.launch_origin import Origin, left_out, value_at
from ui.pages.launch_queue import QueueOptions
from ui.pages.own_data import OwnData
from ui.pages.wording import CONTROLS, METHODS

TASK, KNOWN, FILE = "Built-in task", "Well-known data set", "My own file"
Values = dict[Any, Any]
Choices = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Filling:
    """The inputs of the form; every method gives the values of some of them. `fields` are those of the spec by path."""

    known: KnownData
    own: OwnData
    queue: QueueOptions
    model: Any
    kind: Any
    methods: Any
    controls: Any
    seeds: Any
    name: Any
    fields: Mapping[str, Any]
    control_section: Any
    task_group: Any
    known_group: Any
    file_group: Any

    @property
    def by_preset(self) -> list[Any]:
        """What a preset sets."""
        chosen = (self.kind, self.methods, self.controls, self.seeds, *self.fields.values())
        return [*chosen, self.control_section, self.task_group, self.known_group, self.file_group]

    @property
    def all(self) -> list[Any]:
        """What `of_origin` sets."""
        return [*self.by_preset, self.model, self.name, *self.own.filled_inputs, *self.queue.inputs]

    def of_preset(self, spec: ExperimentSpec) -> Values:
        return self._shown(self._values_of(spec))

    def of_origin(
        self,
        origin: Origin,
        models: Choices,
        devices: Choices,
        run_of: Callable[[Values], dict[str, Any] | None],
    ) -> tuple[Values, str]:
        """Also what an `origin` view says of it. `run_of` gives the run that a form of such values launches."""
        run = origin.spec.run
        values = self._values_of(origin.spec) | {self.model: _offered_model(run.model.name, models)}
        given, own = values, Values()
        problems: list[Problem] = []
        if isinstance(run.data.source, FileSource):
            given = values | self.own.values(run.data.source)
            try:
                own = self.own.filled(run.data.source)
            except StudioError as error:
                problems += error.problems
        problems += left_out(run, run_of(given) or {})
        queued, missing = self.queue.filled(origin.queued, devices)
        filled = self._shown(values) | own | queued | {self.name: origin.name}
        return filled, origin.shown([*problems, *missing])

    def of_draft(self, values: Values, models: Choices, devices: Choices) -> tuple[Values, list[Problem]]:
        """The form filled with the `values` of its inputs, and what of them is not there any more."""
        apart = {*self.known.named.values(), *self.own.named.values()}
        entered = {part: value for part, value in values.items() if part not in apart}
        queued, problems = self.queue.filled({"device": entered[self.queue.device] or ""}, devices)
        model = entered[self.model]
        offered = _offered_model(model, models)
        if model not in (None, offered):
            problems.append(Problem(f"The studio has no model {model}.", "model.name", f"It is {offered} instead."))
        entered |= queued | {self.model: offered}
        known = self.known.filled(values)
        try:
            source = self.own.source(values)
            own = self.own.filled(FileSource.parse(source)) if source else self.own.emptied()
        except (StudioError, SpecError) as error:
            return self._shown(entered) | known | self.own.emptied(), [*problems, *error.problems]
        return self._shown(entered) | known | own, problems

    def _values_of(self, spec: ExperimentSpec) -> Values:
        """What the inputs have to be for the form to be an experiment; of a file of one's own only that it is one."""
        run = spec.run.model_dump()
        run["data"]["source"] = TaskSource().model_dump() | run["data"]["source"]
        return {
            self.kind: TASK if isinstance(spec.run.data.source, TaskSource) else FILE,
            self.methods: _offered(METHODS, spec.methods),
            self.controls: _offered(CONTROLS, spec.methods),
            self.seeds: ", ".join(map(str, spec.seeds)),
            **{part: shown(value_at(run, path)) for path, part in self.fields.items()},
        }

    def _shown(self, values: Values) -> Values:
        """The same, with only those fields and groups in sight that mean something beside these values."""
        fields = {path: values[part] for path, part in self.fields.items()}
        dependent = {
            self.fields[path]: gr.update(value=fields[path], visible=in_effect(path, fields)) for path in NEEDS
        }
        groups = {
            self.control_section: gr.update(open=bool(values[self.controls])),
            self.task_group: gr.update(visible=values[self.kind] == TASK),
            self.known_group: gr.update(visible=values[self.kind] == KNOWN),
            self.file_group: gr.update(visible=values[self.kind] == FILE),
        }
        return values | dependent | groups


def _offered(group: Sequence[tuple[str, str]], methods: Sequence[str]) -> list[str]:
    """Those of `methods` that a group of checkboxes has."""
    offered = {method for _, method in group}
    return [method for method in methods if method in offered]


def _offered_model(name: str, models: Choices) -> str:
    """The first one for a model that is not offered any more."""
    names = [each for _, each in models]
    return name if name in names else names[0]
