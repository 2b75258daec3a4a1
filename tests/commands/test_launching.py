"""Launching from the command line: what is sent, what is refused, and what a lost connection does."""

from __future__ import annotations

import json

import httpx
import pytest
from fastapi import Request

from api.app import create_api
from gift_core.spec import ExperimentSpec, RunSpec
from tests.serving import free_port, serve
from ui.commands.client import CommandClient
from ui.commands.connection import persistently
from ui.commands.launching import launch_once
from ui.connection import StudioError


class Losing(httpx.HTTPTransport):
    """Loses the first `count` answers: the requests have arrived."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left = count
        self.keys: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.keys.append(request.headers["Idempotency-Key"])
        response = super().handle_request(request)
        if self.left:
            self.left -= 1
            response.read()
            response.close()
            raise httpx.ReadError("The connection was lost.")
        return response


def test_a_launch_is_what_the_page_would_have_launched(gift, studio):
    code, said, _ = gift("launch", "--preset", "Smoke test", "--method", "sft", "--set", "training.epochs=2", "--json")
    shown = json.loads(said)
    assert code == 0
    (experiment,) = studio.store.experiments()
    assert shown["id"] == experiment.id
    spec = ExperimentSpec.parse(experiment.spec)
    assert (spec.methods, spec.run.training.epochs, spec.run.data.held_out) == (("sft",), 2, 16)
    assert [run["state"] for run in shown["runs"]] == ["queued"]


def test_how_the_runs_are_queued(gift, studio):
    options = ("--priority", "-3", "--devices", "2", "--device", "cuda:1", "--stop-on-failure")
    assert gift("launch", "--preset", "Smoke test", *options)[0] == 0
    (experiment,) = studio.store.experiments()
    assert experiment.stop_on_failure
    assert {(run.priority, run.devices, run.device) for run in studio.store.runs(experiment.id)} == {(-3, 2, "cuda:1")}
    code, _, error = gift("launch", "--preset", "Smoke test", "--device", "gpu")
    assert (code, "device" in error) == (1, True)


def test_the_spec_of_a_run_and_an_experiment_are_both_files_to_launch(gift, studio, tmp_path):
    (tmp_path / "run.yaml").write_text(RunSpec().replace({"seed": 7, "objective.method": "cart"}).to_yaml())
    (tmp_path / "pair.yaml").write_text("{name: Two, seeds: [3], run: {training: {epochs: 1}}}")
    assert gift("launch", "run.yaml")[0] == 0
    assert gift("launch", "pair.yaml", "--seed", "4", "--seed", "5")[0] == 0
    newest, first = [ExperimentSpec.parse(found.spec) for found in studio.store.experiments()]
    assert (first.methods, first.seeds) == (("cart",), (7,))
    assert (newest.name, newest.methods, newest.seeds) == ("Two", ("sft", "gift"), (4, 5))


def test_what_set_was_given_is_what_the_field_says(gift, studio, tmp_path):
    typed = ("sampling.suppress_eos=no", "evaluation.score=no", "data.source.prompt_column=2023")
    rows = [json.dumps({"2023": f"{i}?", "no": str(i)}) for i in range(24)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    sets = [part for change in (*typed, "data.source.response_column=no") for part in ("--set", change)]
    code, _, error = gift("launch", "--data", "rows.jsonl", "--method", "sft", "--name", "123", "--seed", "010", *sets)
    assert (code, error) == (0, "")
    (experiment,) = studio.store.experiments()
    spec = ExperimentSpec.parse(experiment.spec)
    found = (spec.name, spec.seeds, spec.run.sampling.suppress_eos, spec.run.evaluation.score)
    assert found == ("123", (10,), "no", False)
    assert (spec.run.data.source.prompt_column, spec.run.data.source.response_column) == ("2023", "no")
    code, _, error = gift("launch", "--set", "training.learning_rate=abc")
    assert (code, error.count("abc")) == (1, 1)
    assert 'training.learning_rate: "abc" is not a number. Try 0.0005 or 5e-4.' in error


def test_rows_of_ones_own_are_sent_first(gift, studio, tmp_path):
    rows = [{"prompt": f"{i}?", "response": str(i)} for i in range(24)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, _, error = gift("launch", "--data", "rows.jsonl", "--set", "data.held_out=4", "--method", "sft")
    assert (code, error) == (0, "")
    (dataset,) = studio.datasets.list()
    (experiment,) = studio.store.experiments()
    assert experiment.spec["run"]["data"]["source"]["dataset"] == dataset.id


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "training.epoch=1"), "training.epoch: "),
        (("--set", "model.name=gpt-9"), "model.name: "),
        (("--set", "objective.method=sft"), "Use --method"),
        (("--preset", "Slow"), "--preset: "),
        (("--method", "dpo"), "methods.0: "),
    ],
)
def test_what_is_refused_is_said_by_field_and_nothing_is_launched(gift, studio, arguments, said):
    code, shown, error = gift("launch", *arguments)
    assert (code, shown) == (1, "")
    assert said in error
    assert studio.store.experiments() == []


def test_a_lost_answer_launches_nothing_twice(url, studio):
    transport = Losing(2)
    with CommandClient(url, transport=transport) as client:
        found = launch_once(client, ExperimentSpec())
    assert [experiment.id for experiment in studio.store.experiments()] == [found.id]
    assert len(transport.keys) == 3
    assert len(set(transport.keys)) == 1


def test_two_launches_are_two_experiments(gift, studio):
    for _ in range(2):
        assert gift("launch", "--method", "sft")[0] == 0
    assert len(studio.store.experiments()) == 2


def test_a_refusal_is_not_tried_again():
    calls = []

    def refused() -> None:
        calls.append(1)
        raise StudioError([], 409)

    with pytest.raises(StudioError):
        persistently(refused, pauses=(0, 0))
    assert len(calls) == 1


def test_a_studio_that_is_not_there(gift):
    with free_port() as listener:
        port = listener.getsockname()[1]
    code, _, error = gift("runs", "--server", f"http://127.0.0.1:{port}")
    assert code == 1
    assert "does not answer" in error
    assert "GIFT_SERVER" in error


@pytest.mark.parametrize("address", ["studio.example", "ftp://studio.example", "http://me:secret@studio.example"])
def test_an_address_that_cannot_be(gift, address):
    code, _, error = gift("runs", "--server", address)
    assert code == 1
    assert "--server: " in error


def test_the_key_goes_with_every_request_and_is_no_option(gift, studio, monkeypatch):
    app = create_api(studio)
    seen = []

    @app.middleware("http")
    async def note(request: Request, call_next):
        seen.append(request.headers.get("authorization"))
        return await call_next(request)

    with serve(app) as address:
        assert gift("models", "--server", address)[0] == 0
        monkeypatch.setenv("GIFT_KEY", "gift_key_of_somebody")
        assert gift("models", "--server", address)[0] == 0
        assert gift("runs", "--server", address, "--key", "gift_key_of_somebody")[0] == 2
    assert seen == [None, "Bearer gift_key_of_somebody"]


def test_a_check_says_all_that_is_wrong(gift):
    code, shown, _ = gift("check", "--preset", "Smoke test", "--json")
    assert (code, json.loads(shown)["ok"]) == (0, True)
    code, _, error = gift("check", "--set", "model.name=gpt-9", "--set", "data.max_length=8")
    assert code == 1
    assert "problem model.name:" in error


@pytest.mark.parametrize("command", ["presets", "models", "checkpoints", "devices", "datasets", "experiments", "jobs"])
def test_what_there_is(gift, command):
    assert gift(command)[0] == 0
    code, said, _ = gift(command, "--json")
    assert code == 0
    json.loads(said)


def test_help_teaches_by_example(gift):
    code, said, _ = gift("launch", "--help")
    assert code == 0
    assert "gift studio launch" in said
    assert "GIFT_SERVER" in said
