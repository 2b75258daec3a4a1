"""Looking at data sets over HTTP: begun, watched, cancelled, kept."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.carrying_out import carry_out
from tests.workers.conftest import until
from ui.client import StudioError

__all__ = ["until"]

RUN = {"data": {"source": {"kind": "task", "task": "countdown", "examples": 30}, "held_out": 0}}


def begin(client, **settings):
    return client.start_dataset_inspection(["tiny", "tiny"], RUN, minimum_count=2, **settings)


def test_it_is_begun_watched_and_kept(client, studio, until):
    worker = studio.worker()
    worker.start()
    try:
        begun = begin(client, examples=20)
        assert begun.state in ("queued", "running")
        until(lambda: client.dataset_inspection(begun.id).state not in ("queued", "running"))
    finally:
        worker.stop()
    view = client.dataset_inspection(begun.id)
    assert (view.state, view.done, view.total) == ("finished", 40, 40), studio.log(begun.id)
    one, other = view.result.checkpoints
    assert one == other
    assert (view.result.examples, view.result.available, view.result.minimum_count) == (20, 30, 2)
    assert begin(client, examples=20) == view


def test_an_uploaded_file_is_looked_at_with_its_hostile_text(client, studio, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": "a", "response": "</script><b>é</b>"}) + "\n", "utf-8")
    dataset = client.upload(path, path.name)
    run = {"data": {"source": {"kind": "file", "dataset": dataset.id}, "eos_tail": "one"}}
    begun = client.start_dataset_inspection(["tiny"], run, minimum_count=1)
    carry_out(studio, begun.id)
    view = client.dataset_inspection(begun.id)
    listed = {glyph.text for glyph in view.result.checkpoints[0].highest}
    assert "é" in listed


def test_it_is_cancelled_while_it_waits_and_while_it_is_looked_at(client, studio):
    waits, looked_at = begin(client), begin(client, seed=2)
    assert client.cancel_dataset_inspection(waits.id).state == "stopped"
    carry_out(studio, looked_at.id, lambda: client.cancel_dataset_inspection(looked_at.id))
    assert client.dataset_inspection(looked_at.id).state == "stopped"


def test_what_cannot_be_looked_at_says_why(client, studio):
    begun = client.start_dataset_inspection(["tiny"], {"data": RUN["data"] | {"max_length": 8}})
    carry_out(studio, begun.id)
    view = client.dataset_inspection(begun.id)
    assert view.state == "failed"
    assert "Raise data.max_length" in view.problems[0].message


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
