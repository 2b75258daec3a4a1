"""Evaluating over HTTP: begun, watched, stopped, gone on with and compared."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.carrying_out import carry_out
from ui.connection import StudioError

SMALL = {"task": "word_problems", "source": {"kind": "generated", "count": 8}}


def begin(client, *checkpoints, **settings):
    return client.evaluate({"checkpoints": list(checkpoints or ("tiny",)), **SMALL, **settings})


def test_evaluations_are_scored_shown_and_compared(client, studio, tmp_path):
    rows = [{"question": f"What is {i} + 1?", "answer": f"#### {i + 1}"} for i in range(4)]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = client.upload(path, path.name)
    (one,), (other,) = begin(client), begin(client, sampling={"steps": 6})
    uploaded = {"task": "gsm8k", "source": {"kind": "dataset", "dataset": dataset.id}, "lengths": [64]}
    (mine,) = begin(client, **uploaded)
    assert {one.state, other.state} == {"queued"}
    found, _, of_file = (client.evaluation(carry_out(studio, each.id).id) for each in (one, other, mine))

    assert (found.state, found.done, found.total, found.missing) == ("finished", 8, 8, 0)
    (condition,) = found.conditions
    assert condition.solved.n == found.items == 8
    assert condition.solved.correct == found.solved
    assert condition.solved.low < condition.solved.share < condition.solved.high
    assert begin(client)[0].state == "finished", "asked again, it is there"

    answers = client.answers(one.id)
    assert [row.item for row in answers] == [f"word_problems/standard/0/{i}" for i in range(8)]
    assert sum(row.solved for row in answers) == found.solved
    assert all((row.text == "solved") == row.solved for row in answers)
    assert client.answers(one.id, start=5, limit=3) == answers[5:8]
    with pytest.raises(StudioError, match="There are 1 conditions"):
        client.answers(one.id, condition=1)

    (compared,) = client.compare_evaluations(one.id, other.id)
    paired = compared.seeds[0].paired
    assert paired.both + paired.only_a + paired.only_b + paired.neither == 8
    (same,) = client.compare_evaluations(one.id, one.id)
    assert same.seeds[0].paired.p == 1
    with pytest.raises(StudioError, match="of different items"):
        client.compare_evaluations(one.id, mine.id)

    assert of_file.state == "finished", of_file.problems
    assert of_file.items == 4
    assert str(tmp_path) not in of_file.model_dump_json()


@pytest.mark.slow
def test_a_stopped_one_keeps_its_answers_and_goes_on(working):
    client, wait = working
    (view,) = begin(client, source={"kind": "generated", "count": 400})
    wait(client.evaluation, view.id, until=lambda each: each.done)
    client.stop_evaluation(view.id)
    (found,) = wait(client.evaluation, view.id)
    assert found.state == "stopped"
    assert 0 < found.done < 400
    assert found.missing == 400 - found.done
    begin(client, source={"kind": "generated", "count": 400})
    (later,) = wait(client.evaluation, view.id, until=lambda each: each.done > found.done)
    assert later.missing < 400 - found.done
    client.stop_evaluation(view.id)
    wait(client.evaluation, view.id)


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


def test_an_unknown_checkpoint_or_evaluation_is_named(client, url):
    with pytest.raises(StudioError, match="'nope'"):
        begin(client, "tiny", "nope")
    assert client.evaluations() == []
    for path in ("evaluations/nope", "evaluations/nope/answers", "evaluation-comparisons?first=nope&second=nope"):
        assert httpx.get(f"{url}/api/v1/{path}").status_code == 404
