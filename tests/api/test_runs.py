"""Runs, their logs and their metrics."""

from __future__ import annotations

import httpx
import pytest

from ui.connection import StudioError
from workers.records import Job, JobKind


def test_runs_are_found_by_experiment_and_state(client, create, trainer):
    experiment, (sft, gift) = create()
    create()
    trainer.start(sft)
    assert [run.id for run in client.runs(experiment.id)] == [sft.id, gift.id]
    assert [run.id for run in client.runs(state="running")] == [sft.id]
    assert len(client.runs()) == 4


def test_experiments_are_listed_newest_first_page_by_page(client, create):
    ids = [create(name=str(number))[0].id for number in range(5)]
    assert [experiment.id for experiment in client.experiments(limit=3)] == ids[::-1][:3]
    assert [experiment.id for experiment in client.experiments(limit=None)] == ids[::-1]


def test_a_run_tells_its_history_and_nothing_about_its_worker(client, url, create, trainer):
    _, (sft, _) = create()
    trainer.start(sft)
    trainer.log(sft, 4, loss=0.5, tokens_per_second=900.0)
    trainer.finish(sft)
    run = client.run(sft.id)
    assert [change.after for change in run.transitions] == ["queued", "running", "finished"]
    assert (run.state, run.step, run.tokens_per_second) == ("finished", 4, 900.0)
    assert run.has_ended
    shown = httpx.get(f"{url}/api/v1/runs/{sft.id}").text
    assert "test-worker" not in shown
    assert "process_id" not in shown


def test_stopping_a_queued_run_stops_it_at_once_and_twice_is_no_error(client, create, trainer):
    _, (sft, gift) = create()
    trainer.start(sft)
    assert client.stop(sft.id).state == "stopping"
    assert client.stop(gift.id).state == "stopped"
    assert client.stop(gift.id).state == "stopped"


def test_the_end_of_a_log_can_be_read(client, studio, create):
    _, (sft, gift) = create()
    directory = studio.files(sft)
    directory.mkdir(parents=True)
    (directory / "job.log").write_text("first line\nlast line\n", "utf-8")
    assert client.log(sft.id).endswith("first line\nlast line\n")
    assert client.log(sft.id, tail_bytes=10).endswith("last line\n")
    assert "first" not in client.log(sft.id, tail_bytes=10)
    assert client.log(gift.id) == ""


def test_metrics_come_once_each_over_any_number_of_reads(client, create, trainer):
    _, (sft, gift) = create()
    trainer.start(sft)
    trainer.start(gift)
    trainer.log(sft, 1, 2, 3)
    trainer.log(gift, 1, 2)

    first = client.metrics([sft.id, gift.id], limit=3)
    second = client.metrics([sft.id, gift.id], after=first.cursor, limit=3)
    nothing = client.metrics([sft.id, gift.id], after=second.cursor)
    assert [(point.run_id, point.step) for point in [*first.points, *second.points]] == [
        *((sft.id, step) for step in (1, 2, 3)),
        *((gift.id, step) for step in (1, 2)),
    ]
    assert nothing.points == []
    assert nothing.cursor == second.cursor

    trainer.log(sft, 4, loss=0.125)
    news = client.metrics(after=nothing.cursor)
    assert [point.values for point in news.points] == [{"loss": 0.125}]
    assert client.metrics([gift.id], after=nothing.cursor).points == []


@pytest.mark.parametrize("call", ["run", "stop", "log", "spec", "experiment"])
def test_what_is_not_there_is_a_404(client, call):
    with pytest.raises(StudioError, match="no_such_id") as refused:
        getattr(client, call)("no_such_id")
    assert refused.value.status == 404


@pytest.mark.parametrize("identifier", ["../models", "..", "a/b", "a?b#c", "%2e%2e"])
def test_an_id_never_becomes_another_address(client, identifier):
    for call in (client.run, client.stop, client.log, client.spec, client.experiment):
        with pytest.raises(StudioError) as refused:
            call(identifier)
        assert refused.value.status in (404, 405)


def test_a_wrong_query_value_is_named(client):
    with pytest.raises(StudioError) as refused:
        client.runs(state="sleeping")
    assert refused.value.problems[0].field.startswith("state")


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/log"), ("GET", "/spec"), ("POST", "/stop")])
def test_a_job_that_is_no_training_is_no_run(url, studio, method, path):
    job, _ = studio.store.add_job(Job(id="ev_1", kind=JobKind.EVALUATE, label="looks", spec={}))
    answer = httpx.request(method, f"{url}/api/v1/runs/{job.id}{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert studio.store.job(job.id).state == "queued"
