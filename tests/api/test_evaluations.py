"""Evaluating over HTTP: begun, watched, stopped, gone on with and compared."""

from __future__ import annotations

import json
import threading
import time

import httpx
import pytest

from api.app import create_api
from tests.serving import serve
from ui.client import StudioClient, StudioError

SMALL = {"task": "word_problems", "source": {"kind": "generated", "count": 8}}


def wait(client, *ids, states=("finished", "failed", "stopped")):
    """The evaluations once they have ended."""
    deadline, never = time.monotonic() + 60, threading.Event()
    while True:
        found = [client.evaluation(identity) for identity in ids]
        if all(each.state in states for each in found):
            return found
        assert time.monotonic() < deadline
        never.wait(0.05)


def begin(client, *checkpoints, **settings):
    return client.evaluate({"checkpoints": list(checkpoints or ("tiny",)), **SMALL, **settings})


def test_an_evaluation_scores_every_item_with_its_interval(client):
    (view,) = begin(client)
    assert view.state in ("queued", "running")
    (found,) = wait(client, view.id)
    assert (found.state, found.done, found.total, found.missing) == ("finished", 8, 8, 0)
    (condition,) = found.conditions
    assert condition.solved.n == found.items == 8
    assert condition.solved.correct == found.solved
    assert condition.solved.low < condition.solved.share < condition.solved.high
    assert begin(client)[0].state == "finished", "asked again, it is there"


def test_answers_are_shown_beside_what_was_expected(client):
    (view,) = begin(client)
    (found,) = wait(client, view.id)
    rows = client.answers(view.id)
    assert [row.item for row in rows] == [f"word_problems/standard/0/{i}" for i in range(8)]
    assert sum(row.solved for row in rows) == found.solved
    assert all((row.text == "solved") == row.solved for row in rows)
    assert client.answers(view.id, start=5, limit=3) == rows[5:8]
    with pytest.raises(StudioError, match="There are 1 conditions"):
        client.answers(view.id, condition=1)


def test_two_settings_are_compared_on_the_same_items(client):
    (one,), (other,) = begin(client), begin(client, sampling={"steps": 6})
    wait(client, one.id, other.id)
    (found,) = client.compare_evaluations(one.id, other.id)
    paired = found.seeds[0].paired
    assert paired.both + paired.only_a + paired.only_b + paired.neither == 8
    (same,) = client.compare_evaluations(one.id, one.id)
    assert same.seeds[0].paired.p == 1
    (elsewhere,) = begin(client, task="algebra")
    wait(client, elsewhere.id)
    with pytest.raises(StudioError, match="of different items"):
        client.compare_evaluations(one.id, elsewhere.id)


def test_a_stopped_one_keeps_its_answers_and_goes_on_in_another_studio(client, studio):
    (view,) = begin(client, source={"kind": "generated", "count": 400})
    deadline = time.monotonic() + 60
    while not client.evaluation(view.id).done:
        assert time.monotonic() < deadline
    client.stop_evaluation(view.id)
    (found,) = wait(client, view.id)
    assert found.state == "stopped"
    assert 0 < found.done < 400
    with serve(create_api(studio)) as address, StudioClient(address) as again:
        assert again.evaluation(view.id).state == "stopped"
        assert again.evaluation(view.id).done == found.done
        assert again.evaluation(view.id).missing == 400 - found.done
        begin(again, source={"kind": "generated", "count": 400})
        deadline = time.monotonic() + 30
        while (later := again.evaluation(view.id)).done <= found.done:
            assert time.monotonic() < deadline
        assert later.missing is not None
        assert later.missing < 400 - found.done


def test_an_uploaded_list_is_evaluated_and_no_path_is_told(client, studio, tmp_path):
    rows = [{"question": f"What is {i} + 1?", "answer": f"#### {i + 1}"} for i in range(4)]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = client.upload(path, path.name)
    (view,) = begin(client, task="gsm8k", source={"kind": "dataset", "dataset": dataset.id}, lengths=[64])
    (found,) = wait(client, view.id)
    assert found.state == "finished", found.problems
    assert found.items == 4
    assert str(studio.settings.data_dir) not in found.model_dump_json()


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"source": {"kind": "file", "path": "/etc/passwd"}}, "source"),
        ({"source": {"kind": "dataset", "dataset": "../studio.sqlite3"}}, "data.source.dataset"),
        ({"seeds": [1, 2]}, ""),
        ({"lengths": [47]}, "lengths"),
        ({"sampling": {"steps": 0}}, "sampling.steps"),
    ],
)
def test_a_mistake_names_the_field_and_begins_nothing(client, settings, field):
    with pytest.raises(StudioError) as refusal:
        begin(client, **settings)
    assert refusal.value.status == 422
    assert refusal.value.problems[0].field.startswith(field)
    assert client.evaluations() == []


def test_what_only_the_items_tell_is_told_as_the_reason_of_a_failure(client):
    (view,) = begin(client, task="gsm8k", source={"kind": "generated", "difficulty": "easy"})
    (found,) = wait(client, view.id)
    assert found.state == "failed"
    assert "gsm8k has no generated items" in found.problems[0].message


def test_an_unknown_checkpoint_or_evaluation_is_named(client, url):
    with pytest.raises(StudioError, match="'nope'"):
        begin(client, "tiny", "nope")
    assert client.evaluations() == []
    for path in ("evaluations/nope", "evaluations/nope/answers", "evaluation-comparisons?first=nope&second=nope"):
        assert httpx.get(f"{url}/api/v1/{path}").status_code == 404
