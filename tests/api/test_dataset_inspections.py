"""Looking at data sets over HTTP: begun, watched, cancelled, kept."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.workers.conftest import until
from ui.client import StudioError

__all__ = ["until"]

RUN = {"data": {"source": {"kind": "task", "task": "countdown", "examples": 30}, "held_out": 0}}


@pytest.fixture
def finished(client, until):
    """Waits for one to end."""

    def wait(view):
        until(lambda: client.dataset_inspection(view.id).state not in ("queued", "running"))
        return client.dataset_inspection(view.id)

    return wait


def test_it_is_begun_watched_and_kept(client, finished):
    begun = client.start_dataset_inspection(["tiny", "tiny"], RUN, examples=20, minimum_count=2)
    assert begun.state in ("queued", "running")
    view = finished(begun)
    assert (view.state, view.done, view.total) == ("finished", 40, 40)
    one, other = view.result.checkpoints
    assert one == other
    assert (view.result.examples, view.result.available, view.result.minimum_count) == (20, 30, 2)
    again = client.start_dataset_inspection(["tiny", "tiny"], RUN, examples=20, minimum_count=2)
    assert again == view


def test_an_uploaded_file_is_looked_at_with_its_hostile_text(client, finished, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": "a", "response": "</script><b>é</b>"}) + "\n", "utf-8")
    dataset = client.upload(path, path.name)
    run = {"data": {"source": {"kind": "file", "dataset": dataset.id}, "eos_tail": "one"}}
    view = finished(client.start_dataset_inspection(["tiny"], run, minimum_count=1))
    listed = {glyph.text for glyph in view.result.checkpoints[0].highest}
    assert "é" in listed


def test_it_is_cancelled(client, finished):
    begun = client.start_dataset_inspection(["tiny"] * 4, {}, examples=2000)
    client.cancel_dataset_inspection(begun.id)
    assert finished(begun).state == "cancelled"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"checkpoints": ["nope"]}, "checkpoints"),
        ({"checkpoints": []}, "checkpoints"),
        ({"checkpoints": ["tiny"], "examples": 0}, "examples"),
        ({"checkpoints": ["tiny"], "examples": 1_000_000}, "examples"),
        ({"checkpoints": ["tiny"], "run": {"data": {"max_length": 1}}}, "run.data.max_length"),
        (
            {"checkpoints": ["tiny"], "run": {"data": {"source": {"kind": "file", "dataset": "/etc/passwd"}}}},
            "data.source.dataset",
        ),
    ],
)
def test_a_mistake_names_the_field(url, body, field):
    answer = httpx.post(f"{url}/api/v1/dataset-inspections", json=body)
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["field"] == field


def test_an_unknown_one_is_not_found(client):
    for ask in (client.dataset_inspection, client.cancel_dataset_inspection):
        with pytest.raises(StudioError) as refused:
            ask("di_nowhere")
        assert refused.value.status == 404
