"""Launch: choose a model, data and methods, see what will be learned, and start."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

import gradio as gr

from gift_core.errors import Problem, SpecError
from ui.client import StudioClient
from ui.components import NOTHING, data_of, view
from ui.connection import StudioError
from ui.forms import (
    SECTIONS,
    dependents,
    difficulty_choices,
    field_of,
    in_effect,
    input_for,
    nested,
    section_id,
    task_choices,
    task_fields,
)
from ui.links import FROM, GO, address, parameters
from ui.pages.known_data import KnownData
from ui.pages.launch_draft import LaunchDraft
from ui.pages.launch_filling import FILE, KNOWN, TASK, Choices, Filling
from ui.pages.launch_origin import find_origin
from ui.pages.launch_preflight import PreflightPanel, key_of, places
from ui.pages.launch_queue import QueueOptions, device_choices
from ui.pages.own_data import OwnData
from ui.pages.problems import problems_of, refusal
from ui.pages.wording import CONTROLS, INTRODUCTION, METHODS, SECTION_HELP, WHY_CONTROLS

_PREVIEWED_ROWS = 3
# Fields that change which examples there are, or how they are rendered; and the probe, which not every tail goes with.
_TASK, _DIFFICULTY = "data.source.task", "data.source.difficulty"
_REDRAWING = (
    *(_TASK, _DIFFICULTY, "data.source.examples", "data.source.seed"),
    *("data.max_length", "data.overlong", "data.eos_tail", "data.held_out", "data.template_date"),
    "sampling.block_length",
    "objective.probe",
)
_ORDER = tuple(method for _, method in (*METHODS, *CONTROLS))
_NO_DATA = "data.source.dataset"
_MISSING = {
    KNOWN: Problem("No data set has been fetched yet.", _NO_DATA, "Choose one above and press Fetch."),
    FILE: Problem("No file is there yet.", _NO_DATA, "Drop one above, or choose the built-in task."),
}
_LAUNCHING = "() => ({ __type__: 'update', value: 'Launching…', interactive: false })"


class LaunchPage:
    """The first page. What it shows is the spec: every input is a field of it, and the backend judges all of them."""

    def __init__(self, demo: gr.Blocks, client: StudioClient) -> None:
        self._client = client
        gr.Markdown(INTRODUCTION)
        self._origin, self._gone = view("origin", "origin"), view("problems", "origin-problems")
        place_of_draft = gr.Column()
        nonce, destination = gr.Textbox(visible=False, elem_id="nonce"), gr.Textbox(visible=False)
        self._known, self._own = KnownData(client), OwnData(client)
        self._queue = QueueOptions()
        with gr.Row(equal_height=False):
            with gr.Column(scale=6, min_width=320):
                self._lay_out_choices()
                self._lay_out_spec()
                # In place of the button, for people who may not launch.
                closed = gr.Textbox(label="Launching is not open to you", visible=False, elem_id="launch-closed")
                preflight = PreflightPanel(client, self._experiment_of)
                problems = view("problems", "launch-problems")
                # Until the page has been filled there is nothing to ask for.
                launch = gr.Button(
                    "Launch SFT + GIFT", variant="primary", size="lg", interactive=False, elem_id="launch"
                )
            with gr.Column(scale=7, min_width=320):
                gr.Markdown("### What the model will see")
                preview = view("preview", "preview")
        self._closed = closed
        self._inputs: set[Any] = {
            *(self._model, self._kind, *self._known.inputs, *self._own.inputs),
            *(self._methods, self._controls, self._seeds, self._name, *self._fields.values()),
        }
        with place_of_draft:
            self._draft = LaunchDraft(self._named_inputs())
        self._nonce = nonce
        self._filling = Filling(
            known=self._known,
            own=self._own,
            queue=self._queue,
            model=self._model,
            kind=self._kind,
            methods=self._methods,
            controls=self._controls,
            seeds=self._seeds,
            name=self._name,
            fields=self._fields,
            control_section=self._control_section,
            task_group=self._task_group,
            known_group=self._known_group,
            file_group=self._file_group,
        )
        demo.load(
            self._open,
            None,
            [nonce, self._preset, *self._filling.all, self._origin, self._gone, self._draft.view, launch, closed],
            api_visibility="private",
            show_progress="hidden",
            queue=False,
        )
        self._launch_button = launch
        self._wire_form(launch)
        self._wire_preview(demo, preview, problems)
        preflight.watch(self._inputs)
        self._draft.watch()
        self._draft.restored(
            self._restore,
            None,
            list({*self._filling.all, *self._known.filled_inputs, *self._own.emptied(), self._gone}),
            api_visibility="private",
            show_progress="hidden",
            queue=False,
        )
        launch.click(None, None, launch, js=_LAUNCHING)
        # The key is read in the browser when the button is pressed: a double click sends one key twice.
        launched = {nonce, *self._inputs, *self._queue.inputs}
        launch.click(
            self._launch, launched, [problems, destination, self._draft.view], api_visibility="private", queue=False
        ).then(None, destination, None, js=GO).then(
            _launch_label, [self._methods, self._controls], launch, queue=False, api_visibility="private"
        )

    def _lay_out_choices(self) -> None:
        with gr.Row():
            self._preset = gr.Dropdown([], label="Start from", min_width=220)
            self._model = gr.Dropdown([], label="Base model", elem_id="model", min_width=220)
        self._kind = gr.Radio([TASK, KNOWN, FILE], value=TASK, label="Data", elem_id="kind")
        self._fields: dict[str, Any] = {}
        with gr.Group() as self._task_group:
            # Their labels say enough.
            named = {_TASK: task_choices(), _DIFFICULTY: difficulty_choices(field_of(_TASK).default)}
            with gr.Row():
                self._fields |= {
                    path: input_for(field_of(path), info=None, choices=choices, min_width=220)
                    for path, choices in named.items()
                }
            with gr.Row():
                self._fields |= {
                    field.path: input_for(field, info=None, min_width=120)
                    for field in task_fields()
                    if field.path not in named
                }
        with gr.Group(visible=False) as self._known_group:
            self._known.lay_out()
        with gr.Group(visible=False) as self._file_group:
            self._own.lay_out()
        self._lay_out_methods()

    def _lay_out_methods(self) -> None:
        with gr.Group():
            self._methods = gr.CheckboxGroup(
                list(METHODS), value=["sft", "gift"], label="Methods, as one paired experiment", elem_id="methods"
            )
            with gr.Accordion("Controls", open=False, elem_id="section-controls") as self._control_section:
                gr.Markdown(WHY_CONTROLS, elem_classes="form-help")
                self._controls = gr.CheckboxGroup(
                    list(CONTROLS), value=[], show_label=False, container=False, elem_id="controls"
                )

    def _lay_out_spec(self) -> None:
        with gr.Row():
            self._seeds = gr.Textbox(
                "1", label="Seeds", elem_id="seeds", info="One set of runs for each: 1, 2, 3", min_width=180
            )
            self._name = gr.Textbox(
                "", label="Name", elem_id="name", info="Made up when empty", max_length=120, min_width=180
            )
        defaults = {needed: field_of(needed).default for needed in dependents()}
        with gr.Group():
            for title, paths in SECTIONS.items():
                with gr.Accordion(title, open=False, elem_id=section_id(title)):
                    if title in SECTION_HELP:
                        gr.Markdown(SECTION_HELP[title], elem_classes="form-help")
                    with gr.Row():
                        self._fields |= {
                            path: input_for(field_of(path), min_width=200, visible=in_effect(path, defaults))
                            for path in paths
                        }
            self._queue.lay_out()

    def _named_inputs(self) -> dict[str, Any]:
        chosen = {"model": self._model, "kind": self._kind, "methods": self._methods, "controls": self._controls}
        named = {"seeds": self._seeds, "name": self._name, **self._fields}
        return chosen | named | self._known.named | self._own.named | self._queue.named

    def _wire_form(self, launch: gr.Button) -> None:
        chosen = [self._methods, self._controls]
        gr.on([part.change for part in chosen], _launch_label, chosen, launch, queue=False, api_visibility="private")
        self._preset.select(
            self._fill,
            self._preset,
            [*self._filling.by_preset, self._origin, self._gone],
            api_visibility="private",
            show_progress="hidden",
        )
        self._fields[_TASK].change(
            lambda task: gr.update(choices=difficulty_choices(task)),
            self._fields[_TASK],
            self._fields[_DIFFICULTY],
            queue=False,
            api_visibility="private",
        )
        for needed, paths in dependents().items():
            self._fields[needed].change(
                partial(_visibility, needed, paths),
                self._fields[needed],
                [self._fields[path] for path in paths],
                queue=False,
                api_visibility="private",
            )
        self._kind.change(
            lambda kind: [gr.update(visible=kind == each) for each in (TASK, KNOWN, FILE)],
            self._kind,
            [self._task_group, self._known_group, self._file_group],
            queue=False,
            api_visibility="private",
        )

    def _wire_preview(self, demo: gr.Blocks, preview: gr.HTML, problems: gr.HTML) -> None:
        self._known.wire(preview)
        self._own.wire(preview)
        changes = [part.change for part in (self._kind, *(self._fields[path] for path in _REDRAWING))]
        # Of what the page itself fills in, only a person's choice asks for another preview.
        choices = [part.input for part in (self._model, self._known.reasoning, *self._own.mapping.values())]
        # One listener draws all previews, one after the other, so that none is overwritten by an older one.
        gr.on(
            [demo.load, *changes, *choices, self._known.arrived.change, self._own.arrived.change],
            self._preview,
            self._inputs,
            [preview, problems],
            api_visibility="private",
            show_progress_on=preview,
            trigger_mode="always_last",
        )

    def _open(self, request: gr.Request) -> dict[Any, Any]:
        presets, (choices, devices) = list(self._client.presets()), self._choices()
        identity, why_closed = parameters(request).get(FROM, ""), self._client.session().launch_refusal
        filled = self._fill_from(identity, choices, devices) if identity else {}
        opened = filled | {
            self._nonce: str(uuid.uuid4()),
            self._preset: gr.update(choices=presets, value=None if self._model in filled else presets[0]),
            self._model: gr.update(choices=choices, value=filled.get(self._model, choices[0][1])),
            self._queue.device: gr.update(choices=devices, value=filled.get(self._queue.device, "")),
            self._launch_button: gr.update(interactive=True, visible=not why_closed),
            self._closed: gr.update(value=why_closed, visible=bool(why_closed)),
        }
        return opened | {self._draft.view: self._draft.opened(identity, opened)}

    def _choices(self) -> tuple[Choices, Choices]:
        """The models and the devices that there are."""
        models = [(model.title, model.name) for model in self._client.models()]
        return models, device_choices(self._client.devices())

    def _fill(self, name: str) -> dict[Any, Any]:
        return self._filling.of_preset(self._client.presets()[name]) | {self._origin: "", self._gone: ""}

    def _restore(self, event: gr.EventData) -> dict[Any, Any]:
        filled, missing = self._filling.of_draft(self._draft.values(event), *self._choices())
        said = problems_of("Your draft could not be filled in completely", *missing) if missing else ""
        return filled | {self._gone: said}

    def _fill_from(self, identity: str, models: Choices, devices: Choices) -> dict[Any, Any]:
        try:
            origin = find_origin(self._client, identity)
            filled, said = self._filling.of_origin(origin, models, devices, self._run_of)
        except (StudioError, SpecError) as error:
            # The spec may be of another version, with fields that are not there any more.
            return {self._gone: refusal("This cannot be cloned: the form has its defaults", error)}
        return filled | {self._origin: said}

    def _preview(self, values: dict[Any, Any]) -> tuple[str, Any]:
        run = self._run_of(values)
        if run is None:
            # What was wrong with a refused file stays on the page.
            refused = values[self._own.refused] if values[self._kind] == FILE else ""
            return NOTHING, refused or gr.skip()
        try:
            return data_of(self._client.preview(run, rows=_PREVIEWED_ROWS)), ""
        except StudioError as error:
            return NOTHING, refusal("These examples cannot be used", error)

    def _run_of(self, values: dict[Any, Any]) -> dict[str, Any] | None:
        """The form as a run for the backend to judge; None while a file is wanted and none is there."""
        fields = {path: values[part] for path, part in self._fields.items()}
        effective = {path: value for path, value in fields.items() if in_effect(path, fields)}
        run = nested({"model.name": values[self._model], **effective})
        run["data"]["source"]["kind"] = "task"
        if values[self._kind] != TASK:
            run["data"]["source"] = self._brought(values).source(values)
        return run if run["data"]["source"] else None

    def _brought(self, values: dict[Any, Any]) -> KnownData | OwnData:
        """The inputs of the data that a run brings, where it does not learn a built-in task."""
        return self._known if values[self._kind] == KNOWN else self._own

    def _experiment_of(self, values: dict[Any, Any]) -> dict[str, Any] | None:
        """The form as an experiment for the backend to judge; None while a file is wanted and none is there."""
        run = self._run_of(values)
        if run is None:
            return None
        return {
            "name": values[self._name] or "",
            "run": run,
            "methods": _in_order(values[self._methods], values[self._controls]),
            "seeds": [part.strip() for part in str(values[self._seeds] or "").split(",") if part.strip()],
        }

    def _launch(self, values: dict[Any, Any]) -> tuple[str, str, Any]:
        if not values[self._nonce]:
            loading = Problem("The page has not been filled yet.", remedy="Press again when its fields are there.")
            return problems_of("Nothing was launched", loading), "", gr.skip()
        experiment = self._experiment_of(values)
        if experiment is None:
            return problems_of("Nothing was launched", _MISSING[values[self._kind]]), "", gr.skip()
        try:
            # All that is asked for is part of the key: who comes back to launch something else repeats nothing.
            queued = self._queue.given(values)
            key = f"{values[self._nonce]}-{key_of(experiment | queued)}"
            created = self._client.create_experiment(experiment, key, **queued)
        except StudioError as error:
            return refusal("Nothing was launched", error, places=places()), "", gr.skip()
        return "", address("runs", experiment=created.id), self._draft.sent()


def _in_order(methods: list[str] | None, controls: list[str] | None) -> list[str]:
    """All that are run, in the order they are offered rather than ticked in. A preset may name one twice."""
    return sorted([*(methods or []), *(controls or [])], key=_ORDER.index)


def _launch_label(methods: list[str], controls: list[str]) -> Any:
    names = " + ".join(method.upper() for method in _in_order(methods, controls))
    return gr.update(value=f"Launch {names}" if names else "Choose a method", interactive=bool(names))


def _visibility(needed: str, paths: list[str], value: Any) -> Any:
    updates = [gr.update(visible=in_effect(path, {needed: value})) for path in paths]
    # Gradio takes a list for one output as that output's value.
    return updates if len(updates) > 1 else updates[0]
