"""Jobs of every kind: looking at them, copies of them, their logs, and the queue."""

from __future__ import annotations

import pytest

from gift_core.reporting import CHECKPOINT
from ui.connection import StudioError
from workers.context import LOG_FILE
from workers.orders import DenoiseOrder, EvaluationOrder
from workers.records import Job, JobKind, JobState

SMALL = {"data": {"source": {"kind": "task", "examples": 4}, "held_out": 2}}


@pytest.fixture
def trained(studio, create, trainer) -> Job:
    """A finished run, with a folder where its weights would be."""
    _, (run, _) = create(run=SMALL)
    trainer.start(run)
    trainer.finish(run)
    (studio.files(run) / CHECKPOINT).mkdir(parents=True, exist_ok=True)
    return run


def refused(call, status: int):
    with pytest.raises(StudioError) as refusal:
        call()
    assert refusal.value.status == status, refusal.value
    return refusal.value.problems[0]


def test_a_job_says_what_was_asked_for_and_how_it_went(client, create, trainer):
    _, (run, _) = create()
    trainer.start(run)
    job = client.job(run.id)
    assert (job.kind, job.attempt) == ("train", 1)
    assert job.spec["objective"]["method"] == "sft"
    assert [change.after for change in job.transitions] == ["queued", "running"]


def test_jobs_are_found_by_kind_state_experiment_and_text(client, studio, create, trainer):
    experiment, (sft, gift) = create()
    trainer.start(sft)
    order = EvaluationOrder(checkpoint="tiny")
    studio.store.add_job(studio.new_job(JobKind.EVALUATE, order.id, "the tiny base", order))

    def found(**narrowed) -> set[str]:
        return {job.id for job in client.jobs(**narrowed).items}

    assert found() == {sft.id, gift.id, order.id}
    assert found(kind="evaluate") == {order.id}
    assert found(state="running") == {sft.id}
    assert found(state=["running", "queued"], kind="train") == {sft.id, gift.id}
    assert found(experiment=experiment.id) == {sft.id, gift.id}
    assert found(text="TINY") == {order.id}
    assert found(created_by="nobody") == set()


def test_launch_options_are_the_runs_own(client):
    spec = {"run": SMALL}
    queued = {"priority": 7, "devices": 2, "device": "cuda", "stop_on_failure": True}
    created = client.create_experiment(spec, "k", **queued)
    jobs = [client.job(run.id) for run in created.runs]
    assert {(job.priority, job.devices, job.device) for job in jobs} == {(7, 2, "cuda")}
    for wrong in ({"priority": 101}, {"devices": 0}, {"device": "../x"}, {"colour": "red"}):
        problem = refused(lambda wrong=wrong: client.create_experiment(spec, "other", **wrong), 422)
        assert problem.field == next(iter(wrong))


def test_a_run_is_cloned_into_an_experiment_of_its_own(client, trained):
    clone = client.clone_job(trained.id, {"training.epochs": 3, "seed": 5}, "Again", key="c")
    assert clone.experiment_id != trained.experiment_id
    experiment = client.experiment(clone.experiment_id)
    assert (experiment.name, len(experiment.runs), clone.state) == ("Again", 1, "queued")
    before, after = client.run(trained.id).spec, client.run(clone.id).spec
    assert before.differences(after) == ["seed", "training.epochs"]
    # A request that is repeated, because its answer was lost, makes no second one.
    assert client.clone_job(trained.id, {"training.epochs": 3, "seed": 5}, "Again", key="c").id == clone.id
    assert client.clone_job(trained.id, {"training.epochs": 3, "seed": 5}, "Again").id != clone.id


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"training.epoch": 3}, "training.epoch"), ({"training.epochs": 0}, "training.epochs"), ({"a.b.c": 1}, "a.b.c")],
)
def test_a_clone_with_a_change_that_cannot_be_names_it(client, trained, changes, field):
    assert refused(lambda: client.clone_job(trained.id, changes), 422).field == field
    assert len(client.experiments()) == 1


def test_other_jobs_are_cloned_as_jobs_and_equal_orders_are_one(client, studio):
    order = DenoiseOrder(checkpoint="tiny", prompts=("2+3=",))
    job, _ = studio.store.add_job(studio.new_job(JobKind.DENOISE, order.id, "1 prompt", order))
    assert client.clone_job(job.id).id == job.id
    clone = client.clone_job(job.id, {"seed": 2, "sampling.steps": 12})
    assert clone.id != job.id
    assert client.job(clone.id).spec == {**job.spec, "seed": 2, "sampling": {**job.spec["sampling"], "steps": 12}}


def test_a_run_goes_on_for_more_epochs_in_the_same_experiment(client, trained):
    more = client.continue_job(trained.id, 2, key="m")
    assert (more.experiment_id, more.label) == (trained.experiment_id, "SFT + 2 epochs")
    before, after = client.run(trained.id).spec, client.run(more.id).spec
    assert before.differences(after) == ["model.start_from", "seed", "training.epochs"]
    assert (after.model.start_from, after.training.epochs) == (trained.id, 2)
    assert [run.label for run in client.experiment(trained.experiment_id).runs] == ["SFT", "GIFT", "SFT + 2 epochs"]
    assert client.continue_job(trained.id, 2, key="m").id == more.id
    assert refused(lambda: client.continue_job(trained.id, 3, key="m"), 409).field == "Idempotency-Key"
    # What has not ended has nothing to begin with.
    assert refused(lambda: client.continue_job(more.id, 1), 409).field == "id"


def test_an_experiment_starts_only_from_weights_that_fit(client, trained):
    def launch(**model):
        spec = {"run": {**SMALL, "model": {"name": "tiny", "start_from": trained.id, **model}}, "methods": ["sft"]}
        return client.create_experiment(spec, str(model))

    assert launch().runs
    assert refused(lambda: launch(start_from="run_nowhere"), 422).field == "model.start_from"
    spec = {"run": {**SMALL, "model": {"start_from": trained.id}, "training": {"adapter": "lora"}}}
    assert refused(lambda: client.create_experiment(spec, "lora"), 422).field == "training.adapter"


def test_a_log_is_followed_without_a_gap_or_half_a_character(client, studio, create):
    _, (run, _) = create()
    directory = studio.files(run)
    directory.mkdir(parents=True)
    assert client.log_part(run.id) == ("", 0)
    text = "step 1: β = 0.5 · ünïcödé 🎁\n"
    (directory / LOG_FILE).write_text(text, "utf-8")
    read, offset = "", 0
    while (found := client.log_part(run.id, offset, 7))[0]:
        read, offset = read + found[0], found[1]
    assert (read, offset) == (text, len(text.encode()))
    assert client.log_part(run.id, None, 5) == ("🎁\n", offset)
    assert client.log_part(run.id, 10**9) == ("", 10**9)


def test_the_queue_is_reordered_paused_and_gone_on_with(client, create):
    _, (first, second) = create()
    _, (third, _) = create()
    client.change_job(third.id, before=second.id)
    assert [job.id for job in client.queue().waiting][:3] == [first.id, third.id, second.id]
    client.change_job(second.id, priority=1)
    assert client.queue().waiting[0].id == second.id
    client.change_job(second.id, last=True)
    assert client.queue().waiting[-1].id == second.id
    client.change_job(second.id, first=True)
    assert client.queue().waiting[0].id == second.id
    assert client.pause_queue().paused
    assert not client.resume_queue().paused


def test_what_has_ended_is_deleted_with_its_files_unless_it_is_pinned(client, studio, trained, create):
    directory = studio.files(trained)
    client.change_job(trained.id, pinned=True)
    assert refused(lambda: client.delete_job(trained.id), 409).remedy
    client.change_job(trained.id, pinned=False)
    client.delete_job(trained.id)
    assert not directory.exists()
    refused(lambda: client.job(trained.id), 404)
    _, (waiting, _) = create()
    refused(lambda: client.delete_job(waiting.id), 409)


@pytest.mark.parametrize("call", ["job", "stop_job", "resume_job", "retry_job", "clone_job", "delete_job", "log_part"])
def test_what_is_not_there_is_a_404(client, call):
    refused(lambda: getattr(client, call)("no_such_id"), 404)


def test_what_may_be_asked_is_what_is_done(client, studio, create, trainer):
    _, (run, _) = create()
    assert client.job(run.id).actions == ["stop"]
    trainer.start(run)
    assert client.job(run.id).actions == ["stop", "discard"]
    trainer.log(run, 1, 2, 3)
    studio.store.saved(run.id, trainer.owner(run), 3)
    client.stop_job(run.id)
    assert client.job(run.id).actions == ["discard"]
    result = {"seconds": 1.0, "final_loss": 0.5}
    assert studio.store.end(run.id, trainer.owner(run), JobState.STOPPED, "stopped", result)
    stopped = client.job(run.id)
    assert stopped.actions == ["resume", "retry", "continue", "delete"]
    assert (stopped.saved_step, stopped.undo_step) == (3, None)
    for action in stopped.actions[:2]:
        queued = {"resume": client.resume_job, "retry": client.retry_job}[action](run.id)
        assert queued.state == "queued"
        # Also to one who means to throw something away: what waits runs no risk.
        assert client.stop_job(run.id, "discard").state == "stopped"
        again = client.job(run.id)
        assert (again.state, again.saved_step, again.step, again.actions) == ("stopped", 3, 3, stopped.actions)
        assert again.result == stopped.result
    client.retry_job(run.id)
    queued = client.run(run.id)
    assert (queued.actions, queued.undo_step, queued.step, queued.saved_step) == (["stop", "undo"], 3, 0, None)
    assert client.metrics([run.id]).points == []
    assert client.undo_job(run.id).actions == stopped.actions
    assert [point.step for point in client.metrics([run.id]).points] == [1, 2, 3]
    assert refused(lambda: client.undo_job(run.id), 409).field == "id"


def test_a_run_that_cannot_be_resumed_is_not_offered_to_be(client, studio, create, trainer):
    _, (run, _) = create()
    trainer.start(run)
    trainer.log(run, 1, 2, 3)
    failure = {"code": "nan_loss", "message": "It is not a number.", "field": "", "remedy": "Lower the rate."}
    studio.store.end(run.id, trainer.owner(run), JobState.FAILED, "nan_loss", failure=failure)
    assert client.job(run.id).actions == ["retry", "delete"]
    client.retry_job(run.id)
    client.stop_job(run.id)
    job = client.job(run.id)
    assert (job.state, job.failure.code, job.step) == ("failed", "nan_loss", 3)


def test_elapsed_counts_no_time_in_the_queue(client, studio, create, trainer):
    _, (run, _) = create()
    assert client.job(run.id).elapsed == 0
    trainer.start(run)
    with studio.store.database.write() as session:
        session.get(Job, run.id).started -= 100
    assert 100 <= client.job(run.id).elapsed < 200
    studio.store.hand_back(run.id, trainer.owner(run), "the studio was stopped")
    with studio.store.database.write() as session:
        session.get(Job, run.id).ended = 0.0
    waiting = client.job(run.id).elapsed
    assert 100 <= waiting < 200
    assert client.job(run.id).elapsed == waiting
