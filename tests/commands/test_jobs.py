"""Runs and jobs from the command line: stopped, moved, read and taken away."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest
from sqlmodel import update

from gift_core.spec import SamplingSpec
from gift_core.trace import load_trace
from tests.commands.exports import exported
from ui.commands.client import CommandClient
from ui.commands.outputs import RefusedError, _inside
from workers.records import Experiment, JobState


def test_stopping_and_taking_up_again(gift, create, trainer, studio):
    experiment, (sft, other) = create()
    code, said, _ = gift("stop", experiment.id, "--json")
    assert code == 0
    assert [job["state"] for job in json.loads(said)] == ["stopped", "stopped"]
    assert "All have ended" in gift("stop", experiment.id)[1]
    assert gift("resume", sft.id)[0] == 0
    assert gift("retry", other.id)[0] == 0
    assert {studio.store.job(run.id).state for run in (sft, other)} == {JobState.QUEUED}
    assert studio.store.job(other.id).fresh
    trainer.start(sft)
    trainer.finish(sft)
    code, _, error = gift("resume", sft.id)
    assert code == 1
    assert "finished" in error


def test_a_start_over_is_taken_back(gift, create, trainer, studio):
    _, (sft, _) = create()
    trainer.start(sft)
    trainer.log(sft, 1, 2)
    studio.store.saved(sft.id, trainer.owner(sft), 2)
    studio.store.request_stop(sft.id, "user")
    studio.store.end(sft.id, trainer.owner(sft), JobState.STOPPED, "stopped", {"seconds": 1.0, "final_loss": 0.5})
    assert gift("retry", sft.id)[0] == 0
    assert studio.store.job(sft.id).step == 0
    assert "undo" in gift("show", sft.id)[1]
    assert gift("undo", sft.id)[0] == 0
    job = studio.store.job(sft.id)
    assert (job.state, job.step, job.saved_step, job.fresh) == (JobState.STOPPED, 2, 2, False)
    assert "resume, retry, continue, delete" in gift("show", sft.id)[1]
    code, _, error = gift("undo", sft.id)
    assert code == 1
    assert "nothing to bring back" in error


def test_stop_and_discard_reaches_a_running_job(gift, create, trainer, studio):
    _, (sft, _) = create()
    trainer.start(sft)
    assert gift("stop", sft.id, "--discard")[0] == 0
    job = studio.store.job(sft.id)
    assert (job.state, job.stop_mode) == (JobState.STOPPING, "discard")


def test_a_job_that_is_not_there(gift):
    for command in (("show",), ("stop",), ("log",), ("watch",), ("download",)):
        code, _, error = gift(*command, "run_gone")
        assert (code, "run_gone" in error) == (1, True)


def test_the_queue_is_paused_moved_and_let_go_on(gift, create, studio):
    _, (sft, other) = create()
    assert [job["id"] for job in json.loads(gift("queue", "list", "--json")[1])["waiting"]] == [sft.id, other.id]
    moved = json.loads(gift("queue", "move", other.id, "--first", "--json")[1])
    assert [job["id"] for job in moved["waiting"]] == [other.id, sft.id]
    assert gift("queue", "move", other.id, "--last")[0] == 0
    assert gift("queue", "move", other.id, "--priority", "5")[0] == 0
    assert [job.id for job in studio.store.waiting(9)] == [other.id, sft.id]
    assert gift("queue", "move", sft.id, "--priority", "-5")[0] == 0
    assert gift("queue", "move", other.id, "--priority", "0")[0] == 0
    assert [(job.id, job.priority) for job in studio.store.waiting(9)] == [(other.id, 0), (sft.id, -5)]
    assert "paused" in gift("queue", "pause")[1]
    assert studio.store.paused
    assert gift("queue", "go-on")[0] == 0
    assert not studio.store.paused
    for unclear in ((), ("--first", "--last"), ("--last", "--priority", "5")):
        code, _, error = gift("queue", "move", other.id, *unclear)
        assert (code, "--before" in error) == (1, True)


def test_what_does_not_wait_is_not_moved(gift, create, trainer):
    _, (sft, other) = create()
    for run in (sft, other):
        trainer.start(run)
    code, _, error = gift("queue", "move", sft.id, "--first")
    assert code == 1
    assert "wait" in error


def test_lists_follow_their_pages_and_are_narrowed(gift, create):
    for _ in range(3):
        experiment, _ = create()
    assert len(json.loads(gift("jobs", "--limit", "5", "--json")[1])) == 5
    mine = json.loads(gift("jobs", "--experiment", experiment.id, "--state", "queued", "--json")[1])
    assert {job["experiment_id"] for job in mine} == {experiment.id}
    assert len(json.loads(gift("runs", "--experiment", experiment.id, "--json")[1])) == 2
    code, _, error = gift("jobs", "--state", "tired")
    assert code == 1
    assert "state" in error


def test_what_others_have_written_reaches_the_terminal_as_text(gift, create, studio):
    create(name="[red]gone[/red]")
    # No name of today's holds an escape sequence; a database may.
    with studio.store.database.write() as session:
        session.execute(update(Experiment).values(name="[red]\x1b[2Jgone[/red]"))
    said = gift("experiments")[1]
    assert "[red]" in said
    assert "\x1b" not in said


def test_metrics_as_csv_and_as_json(gift, create, trainer):
    _, (sft, _) = create()
    trainer.start(sft)
    trainer.log(sft, 1, 2, loss=0.5)
    trainer.log(sft, 3, held_out_loss=0.25)
    rows = list(csv.DictReader(io.StringIO(gift("metrics", sft.id)[1])))
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert (rows[0]["loss"], rows[2]["held_out_loss"], rows[2]["loss"]) == ("0.5", "0.25", "")
    lines = gift("metrics", sft.id, "--json")[1].splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3]


def test_a_job_is_shown_with_its_history(gift, create, trainer):
    _, (sft, _) = create()
    trainer.start(sft)
    trainer.finish(sft)
    said = gift("show", sft.id)[1]
    assert "trained" in said
    assert said.index("queued") < said.index("running")


def test_a_log_is_followed_to_the_end(gift, create, trainer, studio, monkeypatch):
    _, (sft, _) = create()
    trainer.start(sft)
    path = studio.files(studio.store.job(sft.id)) / "job.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = "".join(f"step {number}: β = 0.5\n" for number in range(6000))
    path.write_text(whole[:50_000])
    look = CommandClient.job

    def go_on(self, job_id):
        # While the log is followed, more is written than one answer holds, and then it ends.
        path.write_text(whole)
        trainer.finish(sft)
        return look(self, job_id)

    monkeypatch.setattr(CommandClient, "job", go_on)
    assert gift("log", sft.id, "--follow", "--tail-bytes", "1000000")[1] == whole


def test_an_export_is_fetched_whole_or_not_at_all(gift, create, trainer, studio, tmp_path, monkeypatch):
    _, (sft, _) = create()
    job = exported(studio, trainer, sft, {"config.json": b"{}", "original/weights.bin": b"w" * 100_000})
    code, _, error = gift("download", job.id, "model")
    assert (code, error) == (0, "")
    assert (tmp_path / "model" / "original" / "weights.bin").read_bytes() == b"w" * 100_000
    assert "exists already" in gift("download", job.id, "model")[2]
    assert gift("download", job.id, "zipped", "--zip")[0] == 0
    assert (tmp_path / "zipped" / f"{job.id}.zip").stat().st_size > 100_000

    def broken(self, job_id, name):
        yield b"{"
        raise KeyboardInterrupt

    monkeypatch.setattr(CommandClient, "file", broken)
    assert gift("download", job.id, "again")[0] == 130
    assert {path.name for path in tmp_path.iterdir() if "again" in path.name} == set()


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "a\\..\\x", "c:x", "", "a\0b"])
def test_no_name_leads_out_of_the_folder(name):
    with pytest.raises(RefusedError):
        _inside(name)


def test_a_run_has_nothing_to_fetch_before_it_is_exported(gift, create):
    _, (sft, _) = create()
    code, _, error = gift("download", sft.id)
    assert code == 1
    assert "gift studio export" in error


def test_an_upload_takes_its_token_from_the_environment_alone(gift, create, trainer, studio, monkeypatch):
    _, (sft, _) = create()
    trainer.start(sft)
    trainer.finish(sft)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    code, _, error = gift("push", sft.id, "me/model")
    assert (code, "HF_TOKEN" in error) == (1, True)
    assert gift("push", sft.id, "me/model", "--token", "x")[0] == 2
    monkeypatch.setenv("HF_TOKEN", "hf_planted_secret")
    code, said, error = gift("push", sft.id, "me/model", "--json")
    assert code == 0
    assert "hf_planted_secret" not in said + error
    assert studio.store.job(json.loads(said)["id"]).spec["repository"] == "me/model"


def test_files_are_sent_with_their_columns_and_bad_rows_are_named(gift, studio, tmp_path):
    (tmp_path / "rows.csv").write_text("question,reply\n" + "".join(f"{i}?,{i}\n" for i in range(8)))
    mapped = ("--column", "prompt_column=question", "--column", "response_column=reply")
    code, said, _ = gift("upload", "rows.csv", *mapped, "--json")
    assert code == 0
    assert [dataset.id for dataset in studio.datasets.list()] == [json.loads(said)["id"]]
    assert gift("upload", "rows.csv", "--column", "promt=question")[0] == 1
    (tmp_path / "bad.jsonl").write_text('{"prompt": "a", "response": "b"}\n{"prompt": 3}\n')
    code, _, error = gift("upload", "bad.jsonl")
    assert code == 1
    assert "row 2" in error
    assert gift("upload", "gone.jsonl")[0] == 2


def test_denoising_is_shown_and_saved(gift, tmp_path):
    arguments = ("tiny", "--set", "length=16", "--set", "block_length=16", "--set", "steps=4")
    code, said, _ = gift("denoise", *arguments, "--save", "kept")
    assert code == 0
    assert "after 4 steps" in said or "steps in" in said
    (path,) = Path("kept").iterdir()
    assert load_trace(path).start.sampling == SamplingSpec(length=16, block_length=16, steps=4)
    (document,) = json.loads(gift("denoise", *arguments, "--json")[1])
    assert document == json.loads(load_trace(path).model_dump_json())
    code, _, error = gift("denoise", "gpt-9")
    assert (code, "gpt-9" in error) == (1, True)


def test_an_inspection_is_a_table_and_a_document(gift):
    code, said, _ = gift("inspect", "tiny", "--prompt", "2+2=", "--response", "4")
    assert code == 0
    assert "token" in said
    shown = json.loads(gift("inspect", "tiny", "--prompt", "2+2=", "--response", "4", "--json")[1])
    assert shown["checkpoints"][0]["checkpoint"] == "tiny"
    assert gift("inspect", "tiny", "--prompt", "2+2=")[0] == 1


def test_an_evaluation_is_asked_for(gift, studio):
    code, said, _ = gift("evaluate", "tiny", "--task", "word_problems", "--count", "4", "--json")
    assert code == 0
    (view,) = json.loads(said)
    assert studio.store.job(view["id"]).spec["source"]["count"] == 4


def test_a_log_is_shown_to_a_terminal_as_text_and_to_a_program_as_it_is(gift, create, studio, monkeypatch):
    _, (sft, _) = create()
    path = studio.files(studio.store.job(sft.id)) / "job.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"loading\n\r 10%\r 20%\n\x1b]0;owned\x07\x1b[2J\xc2\x9b31m\n")
    assert gift("log", sft.id)[1] == "loading\n\r 10%\r 20%\n\x1b]0;owned\x07\x1b[2J\x9b31m\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    said = gift("log", sft.id)[1]
    assert said == "loading\n\n 10%\n 20%\n\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\n"
