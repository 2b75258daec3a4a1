"""Creating experiments: once per key, or not at all with a message that names the field."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from gift_core.spec import ExperimentSpec, RunSpec
from ui.connection import StudioError

SMALL = ExperimentSpec.parse({"run": {"data": {"source": {"kind": "task", "examples": 4}, "held_out": 2}}})


def refused(client, body, key="k"):
    with pytest.raises(StudioError) as refusal:
        client.create_experiment(body, key)
    return refusal.value


def test_a_launch_queues_its_runs_in_order(client, studio):
    created = client.create_experiment(SMALL, "first")
    assert [run.label for run in created.runs] == ["SFT", "GIFT"]
    assert {run.state for run in created.runs} == {"queued"}
    assert studio.queue.pending() == [run.id for run in created.runs]
    assert client.experiment(created.id) == created
    assert created.spec == SMALL


def test_the_same_key_again_returns_the_same_experiment(url):
    def post():
        body, headers = SMALL.model_dump(mode="json"), {"Idempotency-Key": "double click"}
        return httpx.post(f"{url}/api/v1/experiments", json=body, headers=headers, timeout=60)

    first, second = post(), post()
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]


def test_eight_launches_at_once_with_one_key_create_one_experiment(client, studio):
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda _: client.create_experiment(SMALL, "eight hands"), range(8)))
    assert len({experiment.id for experiment in created}) == 1
    assert len(client.experiments()) == 1
    assert len(studio.queue.pending()) == 2


def test_a_key_is_for_one_spec(client):
    client.create_experiment(SMALL, "mine")
    other = SMALL.model_copy(update={"seeds": (2,)})
    error = refused(client, other, "mine")
    assert error.status == 409
    assert error.problems[0].field == "Idempotency-Key"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"run": {"training": {"learning_rate": "abc"}}}, "run.training.learning_rate"),
        ({"run": {"training": {"learning_rat": 1}}}, "run.training.learning_rat"),
        ({"run": {"objective": {"reference": "abc"}}}, "run.objective.reference"),
        ({"run": {"data": {"source": {"kind": "file"}}}}, "run.data.source.dataset"),
        ({"methods": []}, "methods"),
        ({"seeds": [1, -1]}, "seeds.1"),
    ],
)
def test_a_wrong_value_is_named_and_nothing_is_created(client, body, field):
    error = refused(client, body)
    assert error.status == 422
    assert {problem.field for problem in error.problems} == {field}
    assert client.experiments() == []


def test_every_wrong_field_is_named_at_once(client):
    error = refused(client, {"name": "x" * 121, "run": {"training": {"learning_rate": "abc", "epochs": 0}}})
    assert {problem.field for problem in error.problems} == {
        "name",
        "run.training.learning_rate",
        "run.training.epochs",
    }
    assert '"abc" is not a number' in str(error)
    assert "5e-4" in str(error)


def test_an_unknown_model_is_refused_with_the_ones_there_are(client, studio):
    error = refused(client, {"run": {"model": {"name": "gpt-9"}}})
    assert error.status == 422
    assert error.problems[0].field.endswith("model.name")
    assert "gpt-9" in str(error)
    assert "tiny" in error.problems[0].remedy
    assert client.experiments() == []
    assert studio.queue.pending() == []


def test_an_unknown_data_set_is_refused(client):
    error = refused(client, {"run": {"data": {"source": {"kind": "file", "dataset": "../../etc/passwd"}}}})
    assert error.status == 422
    assert error.problems[0].field.endswith("data.source.dataset")


def test_a_run_gives_its_spec_back_exactly(client, create, tmp_path):
    _, runs = create(run={"training": {"epochs": 3}}, seeds=(5,))
    path = tmp_path / "spec.yaml"
    path.write_text(client.spec(runs[1].id), "utf-8")
    spec = RunSpec.from_yaml(path)
    assert spec == client.run(runs[1].id).spec
    assert (spec.training.epochs, spec.seed, spec.objective.method) == (3, 5, "gift")


def test_every_preset_is_offered_and_valid(client):
    presets = client.presets()
    assert list(presets) == ["Quick pair", "Controls", "A against A", "Smoke test"]
    assert presets["Quick pair"].run == ExperimentSpec().run
    assert presets["A against A"].methods == ("gift", "gift")
