"""Evaluating over HTTP: begun, watched, stopped, gone on with and compared."""

from __future__ import annotations

import json

import httpx
import pytest

from api.app import create_api
from tests.carrying_out import carry_out
from tests.serving import serve
from tests.workers.conftest import until
from ui.client import StudioClient, StudioError

__all__ = ["until"]

SMALL = {"task": "word_problems", "source": {"kind": "generated", "count": 8}}


def begin(client, *checkpoints, **settings):
    return client.evaluate({"checkpoints": list(checkpoints or ("tiny",)), **SMALL, **settings})


@pytest.fixture
def evaluated(client, studio):
    """Begins an evaluation of the base model and carries it out."""

    def evaluate(**settings):
        (view,) = begin(client, **settings)
        carry_out(studio, view.id)
        return client.evaluation(view.id)

    return evaluate


def test_an_evaluation_scores_every_item_with_its_interval(client, studio, until):
    worker = studio.worker()
    worker.start()
    try:
        (view,) = begin(client)
        assert view.state in ("queued", "running")
        until(lambda: client.evaluation(view.id).state not in ("queued", "running"))
    finally:
        worker.stop()
    found = client.evaluation(view.id)
    assert (found.state, found.done, found.total, found.missing) == ("finished", 8, 8, 0), studio.log(view.id)
    (condition,) = found.conditions
    assert condition.solved.n == found.items == 8
    assert condition.solved.correct == found.solved
    assert condition.solved.low < condition.solved.share < condition.solved.high
    assert begin(client)[0].state == "finished", "asked again, it is there"


def test_answers_are_shown_beside_what_was_expected(client, evaluated):
    found = evaluated()
    rows = client.answers(found.id)
    assert [row.item for row in rows] == [f"word_problems/standard/0/{i}" for i in range(8)]
    assert sum(row.solved for row in rows) == found.solved
    assert all((row.text == "solved") == row.solved for row in rows)
    assert client.answers(found.id, start=5, limit=3) == rows[5:8]
    with pytest.raises(StudioError, match="There are 1 conditions"):
        client.answers(found.id, condition=1)


def test_two_settings_are_compared_on_the_same_items(client, evaluated):
    one, other = evaluated(), evaluated(sampling={"steps": 6})
    (found,) = client.compare_evaluations(one.id, other.id)
    paired = found.seeds[0].paired
    assert paired.both + paired.only_a + paired.only_b + paired.neither == 8
    (same,) = client.compare_evaluations(one.id, one.id)
    assert same.seeds[0].paired.p == 1
    elsewhere = evaluated(task="algebra")
    with pytest.raises(StudioError, match="of different items"):
        client.compare_evaluations(one.id, elsewhere.id)


def test_a_stopped_one_keeps_its_answers_and_goes_on_in_another_studio(client, studio):
    many = {"kind": "generated", "count": 40}
    (view,) = begin(client, source=many)
    carry_out(studio, view.id, lambda: client.evaluation(view.id).done and client.stop_evaluation(view.id))
    found = client.evaluation(view.id)
    assert found.state == "stopped"
    assert 0 < found.done < 40
    with serve(create_api(studio)) as address, StudioClient(address) as again:
        assert again.evaluation(view.id).state == "stopped"
        assert again.evaluation(view.id).done == found.done
        assert again.evaluation(view.id).missing == 40 - found.done
        assert begin(again, source=many)[0].state == "queued"
        steps = []
        carry_out(studio, view.id, lambda: steps.append(again.evaluation(view.id).done))
        assert steps[0] == found.done, "it goes on with the answers it has"
        later = again.evaluation(view.id)
        assert (later.state, later.missing) == ("finished", 0)


def test_an_uploaded_list_is_evaluated_and_no_path_is_told(client, studio, evaluated, tmp_path):
    rows = [{"question": f"What is {i} + 1?", "answer": f"#### {i + 1}"} for i in range(4)]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = client.upload(path, path.name)
    found = evaluated(task="gsm8k", source={"kind": "dataset", "dataset": dataset.id}, lengths=[64])
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


def test_what_only_the_items_tell_is_told_as_the_reason_of_a_failure(evaluated):
    found = evaluated(task="gsm8k", source={"kind": "generated", "difficulty": "easy"})
    assert found.state == "failed"
    assert "gsm8k has no generated items" in found.problems[0].message


def test_an_unknown_checkpoint_or_evaluation_is_named(client, url):
    with pytest.raises(StudioError, match="'nope'"):
        begin(client, "tiny", "nope")
    assert client.evaluations() == []
    for path in ("evaluations/nope", "evaluations/nope/answers", "evaluation-comparisons?first=nope&second=nope"):
        assert httpx.get(f"{url}/api/v1/{path}").status_code == 404
