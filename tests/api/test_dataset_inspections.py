"""Looking at data sets over HTTP: begun, watched, cancelled, kept."""

from __future__ import annotations

import json

import httpx
import pytest

from ui.connection import StudioError

RUN = {"data": {"source": {"kind": "task", "task": "countdown", "examples": 30}, "held_out": 0}}


@pytest.mark.slow
def test_an_uploaded_file_with_hostile_text_is_looked_at_and_the_result_kept(working, tmp_path):
    client, wait = working
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": "a", "response": "</script><b>é</b>"}) + "\n", "utf-8")
    dataset = client.upload(path, path.name)
    run = {"data": {"source": {"kind": "file", "dataset": dataset.id}, "eos_tail": "one"}}
    begun = client.start_dataset_inspection(["tiny", "tiny"], run, minimum_count=1)
    assert begun.state in ("queued", "running")
    (view,) = wait(client.dataset_inspection, begun.id)
    assert (view.state, view.done, view.total) == ("finished", 2, 2)
    one, other = view.result.checkpoints
    assert one == other
    assert (view.result.examples, view.result.available, view.result.minimum_count) == (1, 1, 1)
    assert "é" in {glyph.text for glyph in one.highest}
    assert client.start_dataset_inspection(["tiny", "tiny"], run, minimum_count=1) == view


def test_it_is_cancelled(client):
    begun = client.start_dataset_inspection(["tiny"], RUN, examples=20)
    assert begun.state == "queued"
    assert client.cancel_dataset_inspection(begun.id).state == "stopped"


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
