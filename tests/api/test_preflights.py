"""What the API says of an experiment before it is launched: always 200, whatever is wrong with it."""

from __future__ import annotations

from functools import partial
from typing import Any

import httpx
import pytest

from api import app
from api.app import create_api
from gift_core.spec import ExperimentSpec
from tests.api.conftest import Trainer
from tests.serving import serve
from ui.client import StudioClient
from ui.connection import StudioError
from workers.checking.documents import Place
from workers.devices import Device
from workers.preflight import PreflightService
from workers.studio import Studio

SMALL: dict[str, Any] = {"run": {"data": {"source": {"kind": "task", "examples": 16}, "held_out": 100}}}


def test_an_experiment_that_can_be_launched(client: StudioClient) -> None:
    found = client.preflight(ExperimentSpec.parse(SMALL))
    assert (found.ok, found.problems) == (True, [])
    estimates = found.estimates
    assert estimates.runs == 2
    assert estimates.tokens and estimates.steps  # noqa: PT018
    assert (estimates.tokens.examples, estimates.steps.steps) == (16, 10)
    assert estimates.time
    assert [time.label for time in estimates.time_by_run] == ["SFT", "GIFT"]
    assert client.experiments() == [], "nothing is created"


def test_problems_of_the_schema_and_of_what_it_means_come_together(client: StudioClient) -> None:
    source = {"kind": "file", "dataset": "../../etc/passwd"}
    run = {"training": {"learning_rate": "abc"}, "model": {"name": "/etc"}, "data": {"source": source}}
    found = client.preflight({"run": run, "seeds": [1, -1], "nmae": "x"})
    assert not found.ok
    fields = {problem.field for problem in found.problems}
    assert fields == {"training.learning_rate", "model.name", "data.source.dataset", "seeds.1", "nmae"}


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ({"objective": {"reference": "abc"}}, "\"abc\" is not 'sequence' or 'batch', nor a number."),
        ({"training": {"learning_rate": "abc"}}, '"abc" is not a number.'),
        ({"training": {"epochs": True}}, '"true" is not a whole number.'),
        ({"sampling": {"suppress_eos": False}}, "Input should be 'no', 'tokens' or 'confidence', got false."),
        ({"model": {"name": 123}}, "123 is not text."),
    ],
)
def test_a_wrong_value_is_one_problem_before_a_launch_and_at_it(url: str, run: dict[str, Any], said: str) -> None:
    looked = httpx.post(f"{url}/api/v1/preflights", json={"run": run}).json()
    launched = httpx.post(f"{url}/api/v1/experiments", json={"run": run})
    assert launched.status_code == 422
    for problems in (looked["problems"], launched.json()["problems"]):
        assert [problem["message"] for problem in problems] == [said]


@pytest.mark.parametrize("body", ["[]", "null", "3", '"x"', '{"run": []}', '{"\\ud800": 1}', '{"run": {"a": NaN}}'])
def test_what_is_no_experiment_is_answered_too(url: str, body: str) -> None:
    answer = httpx.post(f"{url}/api/v1/preflights", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200
    assert answer.json()["problems"]


def test_what_is_no_json_is_refused(url: str) -> None:
    answer = httpx.post(f"{url}/api/v1/preflights", content="{", headers={"content-type": "application/json"})
    assert answer.status_code == 400


def test_the_effect_that_is_wanted_decides_how_many_items_are_few(client: StudioClient) -> None:
    assert "few_items" not in {warning.code for warning in client.preflight(SMALL, effect=10).warnings}
    assert "few_items" in {warning.code for warning in client.preflight(SMALL, effect=2).warnings}
    # So small a difference would be looked for without an end.
    for effect in (0, 5e-324, 0.09):
        with pytest.raises(StudioError, match="effect"):
            client.preflight(SMALL, effect=effect)


def test_finished_runs_tell_the_time_and_recorded_ones_do_not(
    client: StudioClient, studio: Studio, create: Any, trainer: Trainer
) -> None:
    studio.show_recording()
    assert client.preflight({}).estimates.time_by_run[0].basis == "computed"
    for step, speed in ((20, 100.0), (25, 200.0), (19, 1.0)):
        _, (run, *_) = create(**SMALL, methods=("sft",))
        trainer.start(run)
        trainer.log(run, step, loss=1.0, tokens_per_second=speed)
        trainer.finish(run)
    found = client.preflight(SMALL).estimates
    assert [time.basis for time in found.time_by_run] == ["measured", "computed"]
    assert found.tokens
    # The third is too short to tell a speed.
    assert found.time_by_run[0].likely == 10 * (found.tokens.prompt + found.tokens.response) / 150.0
    assert "2 earlier runs" in found.time_by_run[0].explanation


def test_a_studio_that_trains_elsewhere_knows_its_disk_only(studio: Studio) -> None:
    disk = partial(Place, directory=studio.data, is_here=False)
    service = PreflightService(studio.checker, studio.datasets, disk, list)
    found = service.report(SMALL, effect=0.1).estimates
    assert found.memory and found.disk  # noqa: PT018
    assert found.memory.available is None
    assert found.disk.available
    assert found.time is None


def test_what_a_gpu_has_is_asked_of_its_driver(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = [Device(name="cuda:0", title="small", memory=2**20), Device(name="cuda:1", title="large", memory=2**21)]
    monkeypatch.setattr(studio, "own_devices", gpus)
    monkeypatch.setattr(app, "free_memory", lambda devices: max(device.memory for device in devices) - 1)
    with serve(create_api(studio)) as address, StudioClient(address) as client:
        report = client.preflight(SMALL)
    assert report.estimates.memory
    assert report.estimates.memory.available == 2**21 - 1
    assert "2 MiB are free" in report.problems[0].message
