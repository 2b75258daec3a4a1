"""The launch form has every field of the spec, and changing any of them changes the run that is trained."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any, Literal, get_args, get_origin

import gradio as gr
import pytest

from api.job_views import DeviceView, WorkerView
from gift_core.data_spec import ColumnMapping
from gift_core.errors import SpecError
from gift_core.spec import ExperimentSpec, Method, RunSpec, field_table
from ui.client import StudioClient
from ui.forms import NEEDS, SECTIONS, Field, field_of, nested, task_fields
from ui.pages.launch import LaunchPage, _launch_label
from ui.pages.launch_filling import FILE, KNOWN, TASK
from ui.pages.launch_queue import device_choices
from ui.pages.wording import CONTROLS, METHODS
from workers.studio import Studio

# The page sets these itself: from the model and method choices, the seeds, and the data set that was uploaded.
SET_BY_THE_PAGE = {
    "model.name",
    "data.source.kind",
    "data.source.dataset",
    *(f"data.source.{name}" for name in ColumnMapping.model_fields),
    # The page has the backend fetch what lies on the Hub, and trains on the data set that this makes.
    *(f"data.source.{name}" for name in ("config", "split", "revision")),
    "objective.method",
    "seed",
    # A run that begins with another one's weights is asked for where that one is shown.
    "model.start_from",
}
FIELDS = [*task_fields(), *(field_of(path) for paths in SECTIONS.values() for path in paths)]
BASE = RunSpec()


def needed_by(path: str) -> dict[str, str]:
    """What has to be chosen before a field is shown."""
    return dict([NEEDS[path]]) if path in NEEDS else {}


def value_at(spec: RunSpec, path: str) -> Any:
    found: Any = spec
    for part in path.split("."):
        found = getattr(found, part)
    return found


def alternatives(field: Field) -> Iterator[Any]:
    """Values to try, made from the field's type: every other choice, and numbers near the default."""
    pending = [field.info.annotation]
    while pending:
        kind = pending.pop()
        if get_origin(kind) is Literal:
            yield from get_args(kind)
        elif kind is bool:
            yield not field.default
        elif kind is int:
            default = field.default or 0
            yield from (1, default + 1, default // 2, 2 * default)
        elif kind is float:
            yield from (0.25, 3.0)
        elif kind is date:
            yield "2026-11-30"
        else:
            pending += get_args(kind)


def other_values(field: Field) -> list[Any]:
    """Alternatives that the spec takes without any other field changing, apart from the one it depends on."""
    values = []
    before = BASE.replace(needed_by(field.path))
    for value in alternatives(field):
        try:
            changed = before.replace({field.path: value})
        except SpecError:
            continue
        if changed != before and value not in values:
            values.append(value)
    return values


CHANGES = [(field.path, value) for field in FIELDS for value in other_values(field)]
# These exclude another that is changed.
EXCLUDED = {"sampling.confidence_threshold", "sampling.cfg_scale"}
# Where a field has to agree with another, it keeps the value that does.
AGREEING = {
    "data.source.examples": 40,
    "data.max_length": 300,
    # The one that goes with any probe.
    "data.eos_tail": "one",
    "training.batch_size": 32,
    "training.micro_batch_size": 8,
    "sampling.length": 96,
    "sampling.block_length": 32,
    "sampling.steps": 48,
    "sampling.remasking": "entropy",
    "sampling.cache": "prefix",
}
# One change of every field.
EVERYTHING = {path: value for path, value in (dict(reversed(CHANGES)) | AGREEING).items() if path not in EXCLUDED}


class Form:
    """The launch page as a browser fills it in."""

    def __init__(self, page: LaunchPage) -> None:
        self.page = page
        self.typed: dict[Any, Any] = {part: part.value for part in (*page._inputs, *page._queue.inputs)}
        self.typed[page._model] = BASE.model.name
        self.typed[page._kind] = TASK

    def type(self, path: str, value: Any) -> None:
        """Enter a value; what the input is made of decides whether it goes out as text or as a number."""
        part = self.page._fields[path]
        self.typed[part] = part.preprocess(str(value) if isinstance(part, gr.Textbox) else value)

    def run(self) -> RunSpec:
        return RunSpec.parse(self.page._run_of(self.typed))

    def launch(self) -> tuple[str, str]:
        problems, destination, _ = self.page._launch({self.page._nonce: "nonce", **self.typed})
        return problems, destination


def lay_out(client: StudioClient) -> LaunchPage:
    with gr.Blocks() as demo:
        return LaunchPage(demo, client)


@pytest.fixture(scope="module")
def page() -> LaunchPage:
    return lay_out(StudioClient("http://127.0.0.1:9"))


@pytest.fixture
def form(page: LaunchPage) -> Form:
    return Form(page)


def test_the_form_has_every_field_of_the_spec(form: Form) -> None:
    fields = {path for path, _ in field_table(RunSpec)}
    assert set(form.page._fields) == fields - SET_BY_THE_PAGE
    assert len(FIELDS) == len(form.page._fields), "each field once"


def test_there_is_something_to_change_each_field_to() -> None:
    assert {path for path, _ in CHANGES} == {field.path for field in FIELDS}


def test_an_untouched_form_is_the_default_run(form: Form) -> None:
    assert form.run() == BASE


@pytest.mark.parametrize(("path", "value"), CHANGES)
def test_changing_a_field_changes_the_run(form: Form, path: str, value: Any) -> None:
    changes = {**needed_by(path), path: value}
    for each in changes.items():
        form.type(*each)
    assert form.run() == BASE.replace(changes)


@pytest.mark.parametrize("path", NEEDS)
def test_a_field_without_effect_is_neither_shown_nor_sent(form: Form, path: str) -> None:
    assert not form.page._fields[path].visible
    form.type(path, other_values(field_of(path))[0])
    assert form.run() == BASE


def test_fields_that_depend_on_each_other_change_together(form: Form) -> None:
    changes = {"sampling.length": 96, "sampling.block_length": 32, "sampling.steps": 48}
    for path, value in changes.items():
        form.type(path, value)
    assert form.run() == BASE.replace(changes)


@pytest.mark.parametrize("path", ["training.learning_rate", "training.epochs", "objective.reference"])
def test_an_emptied_field_keeps_its_default(form: Form, path: str) -> None:
    form.typed[form.page._fields[path]] = None if path == "training.epochs" else ""
    assert form.run() == BASE


def test_what_is_not_a_number_is_left_to_the_backend_to_name(form: Form) -> None:
    form.type("training.learning_rate", "abc")
    with pytest.raises(SpecError) as refusal:
        form.run()
    assert [problem.field for problem in refusal.value.problems] == ["training.learning_rate"]


def test_a_file_of_ones_own_replaces_the_task(form: Form) -> None:
    page = form.page
    form.typed[page._kind] = FILE
    assert page._run_of(form.typed) is None, "no file is there yet"
    form.typed[page._own.dataset] = "ds_1"
    for chosen in (
        {"prompt_column": "q", "response_column": "a"},
        {"layout": "alpaca", "system_column": "s"},
        {"layout": "messages", "conversation_column": "turns"},
    ):
        empty = dict.fromkeys(page._own.mapping.values()) | {page._own.mapping["layout"]: "auto"}
        form.typed |= empty | {page._own.mapping[name]: value for name, value in chosen.items()}
        assert form.run() == BASE.replace({"data.source": {"kind": "file", "dataset": "ds_1", **chosen}})


def test_a_well_known_data_set_replaces_the_task(form: Form) -> None:
    page = form.page
    form.typed |= {page._kind: KNOWN, page._own.dataset: "ds_of_a_file"}
    assert page._run_of(form.typed) is None, "nothing has been fetched yet"
    form.typed |= {page._known.dataset: "ds_1", page._known.reasoning: "omit"}
    assert form.run() == BASE.replace({"data.source": {"kind": "file", "dataset": "ds_1", "reasoning": "omit"}})


def test_a_column_that_the_layout_has_no_use_for_is_not_sent(form: Form) -> None:
    page = form.page
    columns = {page._own.mapping[name]: "c" for name in ("prompt_column", "response_column")}
    form.typed |= {page._kind: FILE, page._own.dataset: "ds_1", page._own.mapping["layout"]: "sharegpt", **columns}
    source = {"kind": "file", "dataset": "ds_1", "layout": "sharegpt"}
    assert form.run() == BASE.replace({"data.source": source})


def test_nested_leaves_out_what_is_empty_and_nothing_else() -> None:
    values = {"a.b": 0, "a.c": False, "a.d": "", "a.e": None, "f": 0.0}
    assert nested(values) == {"a": {"b": 0, "c": False}, "f": 0.0}


# Methods


def test_every_method_is_offered_once() -> None:
    offered = [method for _, method in (*METHODS, *CONTROLS)]
    assert sorted(offered) == sorted(get_args(Method))
    assert offered[:2] == ["sft", "gift"]


def test_controls_run_after_the_pair_whatever_was_ticked_first(client: StudioClient, studio: Studio) -> None:
    form = Form(lay_out(client))
    form.typed |= {form.page._methods: ["gift", "sft"], form.page._controls: ["cart", "shuffled"]}
    assert form.launch()[0] == ""
    runs = studio.store.runs(studio.store.experiments()[0].id)
    assert [run.label for run in runs] == ["SFT", "GIFT", "SHUFFLED", "CART"]
    assert [run.spec["objective"]["method"] for run in runs] == ["sft", "gift", "shuffled", "cart"]


def test_how_runs_are_queued_is_chosen_with_the_launch(client: StudioClient, studio: Studio) -> None:
    form = Form(lay_out(client))
    assert form.launch()[0] == ""
    form.typed |= dict(zip(form.page._queue.inputs, (7, 2, "cuda", True), strict=True))
    assert form.launch()[0] == "", "another queueing is another launch"
    form.typed |= dict(zip(form.page._queue.inputs, (None, None, "", False), strict=True))
    assert form.launch()[0] == "", "what is left empty has its default"
    *_, chosen, usual = reversed(studio.store.experiments())
    assert (chosen.stop_on_failure, usual.stop_on_failure) == (True, False)
    queued = [
        {(run.priority, run.devices, run.device) for run in studio.store.runs(each.id)} for each in (chosen, usual)
    ]
    assert queued == [{(7, 2, "cuda")}, {(0, 1, "")}]


def test_what_cannot_be_queued_is_said_with_the_place_of_its_field(client: StudioClient, studio: Studio) -> None:
    form = Form(lay_out(client))
    form.typed |= dict(zip(form.page._queue.inputs, (500, 0, "", False), strict=True))
    refusal = json.loads(form.launch()[0])
    assert [problem["field"] for problem in refusal["problems"]] == ["priority", "devices"]
    assert refusal["places"]["priority"] == ["field-priority", "section-queue"]
    assert studio.store.experiments() == []


def test_devices_are_offered_by_kind_and_by_name() -> None:
    devices = [DeviceView(name=name, title="A GPU", memory=1) for name in ("cuda:0", "cuda:1")]
    cpu = DeviceView(name="cpu", title="16 cores", memory=1)
    workers = [
        WorkerView(id=str(i), host="box", started=0, seen=0, devices=each) for i, each in enumerate((devices, [cpu]))
    ]
    assert [value for _, value in device_choices(workers)] == ["", "cuda", "cpu", "cuda:0", "cuda:1"]
    assert [value for _, value in device_choices([])] == [""]


def test_the_button_names_what_will_run() -> None:
    assert _launch_label(["gift", "sft"], ["nll"])["value"] == "Launch SFT + GIFT + NLL"
    assert _launch_label([], ["simple"])["interactive"]
    assert not _launch_label([], [])["interactive"]


def test_a_preset_fills_both_groups_and_opens_the_second(page: LaunchPage, monkeypatch: pytest.MonkeyPatch) -> None:
    presets = {
        "All": ExperimentSpec(methods=("sft", "gift", "cart", "nll")),
        "Twice": ExperimentSpec(methods=("gift", "gift")),
    }
    monkeypatch.setattr(page._client, "presets", lambda: presets)
    for name, methods, controls in (("All", ["sft", "gift"], ["cart", "nll"]), ("Twice", ["gift", "gift"], [])):
        filled = page._fill(name)
        assert (filled[page._methods], filled[page._controls]) == (methods, controls)
        assert filled[page._control_section]["open"] == bool(controls)


def test_everything_that_was_changed_reaches_the_stored_runs(client: StudioClient, studio: Studio) -> None:
    form = Form(lay_out(client))
    for path, value in EVERYTHING.items():
        form.type(path, value)
    form.typed |= {form.page._seeds: "3, 4", form.page._methods: ["sft"], form.page._name: "everything"}

    problems, destination = form.launch()

    assert problems == ""
    experiment = studio.store.experiments()[0]
    assert destination == f"runs?experiment={experiment.id}"
    assert experiment.name == "everything"
    wanted = BASE.replace(EVERYTHING | {"objective.method": "sft"})
    assert all(value_at(wanted, path) != value_at(BASE, path) for path in set(form.page._fields) - EXCLUDED)
    stored = [RunSpec.parse(run.spec) for run in studio.store.runs(experiment.id)]
    assert stored == [wanted.replace({"seed": seed}) for seed in (3, 4)]
