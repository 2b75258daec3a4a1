"""A launch form that is filled from what was asked for before asks for the same again, and says what it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.schemas import ExperimentDetail
from gift_core.reporting import CHECKPOINT
from gift_core.spec import RunSpec
from tests.api.conftest import Trainer
from tests.ui.test_forms import EVERYTHING, Form, lay_out
from ui.client import StudioClient
from ui.forms import shown
from ui.pages.launch_filling import FILE
from ui.pages.launch_origin import find_origin, left_out
from ui.pages.runs import RunsPage
from workers.studio import Studio

SMALL = {"data": {"source": {"kind": "task", "examples": 4}, "held_out": 2}}
QUEUED = {"priority": 7, "devices": 2, "device": "cpu", "stop_on_failure": True}


def launched(client: StudioClient, run: dict[str, Any], **more: Any) -> ExperimentDetail:
    spec = {"name": "First", "run": run, "methods": ["gift", "cart"], "seeds": [3, 4], **more}
    return client.create_experiment(spec, "first", **QUEUED)


def opened(form: Form, identity: str) -> dict[Any, Any]:
    """What the page shows of the form's origin and of its data, once the form has been filled."""
    answer = form.page._open(gr.Request(query_params={"from": identity}))
    for part, update in answer.items():
        if isinstance(update, dict):
            if "value" not in update:
                continue
            update = update["value"]
        given = update
        if isinstance(part, gr.Textbox | gr.Number | gr.Checkbox):
            given = part.preprocess(part.postprocess(update))
        form.typed[part] = given
    return answer


def left(answer: dict[Any, Any], form: Form) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(answer[form.page._origin])["left"]
    return found


def again(form: Form, client: StudioClient) -> ExperimentDetail:
    problems, destination = form.launch()
    assert problems == ""
    return client.experiment(destination.removeprefix("runs?experiment="))


@pytest.fixture
def form(client: StudioClient, monkeypatch: pytest.MonkeyPatch) -> Form:
    monkeypatch.setattr("ui.pages.launch.device_choices", lambda workers: [("Any", ""), ("Any cpu", "cpu")])
    return Form(lay_out(client))


@pytest.mark.parametrize("run", [RunSpec(), RunSpec().replace(EVERYTHING)], ids=["defaults", "everything"])
def test_an_experiment_is_launched_again_as_it_was(form: Form, client: StudioClient, run: RunSpec) -> None:
    first = launched(client, run.model_dump(mode="json"))
    assert left(opened(form, first.id), form) == []
    second = again(form, client)
    assert second.spec.run.replace({"objective.method": "sft"}) == first.spec.run.replace({"objective.method": "sft"})
    assert (second.spec.methods, second.spec.seeds) == (first.spec.methods, first.spec.seeds)
    assert (second.name, second.stop_on_failure) == ("First again", True)
    jobs = [client.job(experiment.runs[0].id) for experiment in (first, second)]
    assert [(job.priority, job.devices, job.device) for job in jobs] == [(7, 2, "cpu")] * 2


def test_a_run_is_launched_again_without_its_pair(form: Form, client: StudioClient) -> None:
    run = launched(client, SMALL).runs[3]
    assert run.label == "CART seed 4"
    shown_of = json.loads(opened(form, run.id)[form.page._origin])
    assert shown_of["name"] == "CART seed 4 of First"
    (second,) = again(form, client).runs
    assert client.run(second.id).spec == client.run(run.id).spec


def test_data_of_ones_own_are_read_by_the_same_columns(form: Form, client: StudioClient, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"q": str(n), "a": "b", "s": "c"}) + "\n" for n in range(12)), "utf-8")
    dataset = client.upload(path, "rows.jsonl", mapping={"prompt_column": "q", "response_column": "a"})
    source = {"kind": "file", "dataset": dataset.id, "layout": "pairs", "prompt_column": "s", "response_column": "a"}
    first = launched(client, {"data": {"source": source, "held_out": 2}})
    answer = opened(form, first.id)
    assert left(answer, form) == []
    own, page = form.page._own, form.page
    assert (answer[page._kind], answer[page._file_group]["visible"]) == (FILE, True)
    assert answer[own._held]["value"] == "rows.jsonl, 12 rows"
    assert answer[own.mapping["prompt_column"]]["choices"] == ["q", "a", "s"]
    assert not answer[own.mapping["conversation_column"]]["visible"]
    assert again(form, client).spec.run.data == first.spec.run.data

    for run in [run for experiment in client.experiments() for run in client.experiment(experiment.id).runs]:
        client.stop_job(run.id, "discard")
    client.delete_dataset(dataset.id)
    bare = Form(lay_out(client))
    (problem,) = left(opened(bare, first.id), bare)
    assert dataset.id in problem["message"]
    assert json.loads(bare.launch()[0])["problems"][0]["message"] == "No file is there yet."


def test_what_the_form_has_no_place_for_is_said(form: Form, client: StudioClient) -> None:
    first = launched(client, SMALL, methods=["sft"], seeds=[1])
    origin = find_origin(client, first.runs[0].id)
    values, said = form.page._filling.of_origin(origin, [("Other", "other")], [("Any", "")], form.page._run_of)
    assert [(problem["field"], problem["message"]) for problem in json.loads(said)["left"]] == [
        ("model.name", "tiny is not offered any more; it is other here."),
        ("device", "No worker has cpu now; it is any device here."),
    ]
    assert (values[form.page._model], values[form.page._queue.device]) == ("other", "")
    goes_on = RunSpec().replace({"model.start_from": "run_1", "seed": 5})
    (problem,) = left_out(goes_on, {})
    assert (problem.field, "run_1" in problem.message, bool(problem.remedy)) == ("model.start_from", True, True)


@pytest.mark.parametrize("identity", ["run_gone", "exp_gone", "<b>"])
def test_what_is_gone_leaves_the_form_with_its_defaults(form: Form, identity: str) -> None:
    answer = opened(form, identity)
    refusal = json.loads(answer[form.page._gone])
    assert refusal["title"] == "This cannot be cloned: the form has its defaults"
    assert refusal["problems"][0]["remedy"]
    assert form.page._origin not in answer
    assert form.run() == RunSpec()


def test_a_spec_of_another_version_leaves_the_form_with_its_defaults(
    form: Form, client: StudioClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = client.job(launched(client, SMALL).runs[0].id)
    old = run.model_copy(update={"spec": run.spec | {"warp": 9}})
    monkeypatch.setattr(form.page._client, "job", lambda _: old)
    answer = opened(form, run.id)
    assert "warp" in answer[form.page._gone]
    assert form.page._origin not in answer


@given(st.floats(allow_nan=False))
def test_numbers_are_written_short_and_lose_nothing(value: float) -> None:
    assert float(shown(value)) == value
    assert shown(0.0005) == "0.0005"


def test_a_run_is_trained_on_once_however_often_it_is_pressed(
    client: StudioClient, studio: Studio, trainer: Trainer, create: Any
) -> None:
    _, (run, waiting) = create(run=SMALL)
    trainer.start(run)
    trainer.finish(run)
    (studio.files(run) / CHECKPOINT).mkdir(parents=True, exist_ok=True)
    with gr.Blocks() as demo:
        page = RunsPage(demo, client)

    def press(identity: str, epochs: Any = 2, key: str = "1\n") -> str:
        data = {"name": "train_on", "run": identity, "epochs": epochs, "key": key}
        return page._act(gr.EventData(None, data))

    assert [press(run.id) for _ in range(2)] == ["", ""]
    labels = [each.label for each in client.experiment(run.experiment_id).runs]
    assert labels == ["SFT", "GIFT", "SFT + 2 epochs"]
    assert press(run.id, key="2") == ""
    assert len(client.runs(run.experiment_id)) == 4, "a question that is opened again is another"
    for identity, epochs, field in ((waiting.id, 2, "id"), (run.id, 1001, "epochs"), (run.id, None, "epochs")):
        (problem,) = json.loads(press(identity, epochs))["problems"]
        assert problem["field"] == field
