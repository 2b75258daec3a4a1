"""What cannot work is refused when it is asked for: nothing waits in the queue only to fail."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import huggingface_hub.constants
import pytest

from gift_core.reporting import CHECKPOINT
from tests.api.conftest import Trainer
from tests.carrying_out import carry_out
from tests.data_hub import serving_data
from ui.client import StudioClient
from workers.kinds import job_directory
from workers.observations import JobFilter
from workers.records import Job, JobKind, JobState, Worker
from workers.studio import Studio

GSM8K = [{"question": f"What is {i} + 1?", "answer": f"#### {i + 1}"} for i in range(4)]
ROWS = [{"prompt": f"{i} + 1?", "response": str(i + 1)} for i in range(4)]


@pytest.fixture
def ask(url: str) -> Callable[..., httpx.Response]:
    """Posts to the API."""

    def ask(path: str, body: Any = None, **query: Any) -> httpx.Response:
        return httpx.post(f"{url}/api/v1{path}", json=body, params=query, timeout=120)

    return ask


@pytest.fixture
def send(client: StudioClient, tmp_path: Path) -> Callable[..., str]:
    """Uploads rows; returns the data set's id."""

    def send(rows: list[dict[str, str]], task: str | None = None) -> str:
        path = tmp_path / f"{task or 'rows'}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return client.upload(path, path.name, task).id

    return send


@pytest.fixture
def trained(create: Callable[..., Any], trainer: Trainer) -> Job:
    _, (run,) = create(methods=("sft",))
    trainer.start(run)
    trainer.finish(run)
    return trainer.store.job(run.id)


def refused(answer: httpx.Response, studio: Studio, status: int = 422) -> str:
    """The problem as a person reads it; no job was made."""
    assert answer.status_code == status, answer.text
    assert not [job for job in studio.store.jobs(JobFilter()) if job.state == JobState.QUEUED]
    first, *_ = answer.json()["problems"]
    assert first["remedy"] or len(answer.json()["problems"]) > 1
    return f"{first['field']}: {first['message']} {first['remedy']}"


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ({"task": "gsm8k", "source": {"kind": "generated"}}, "source.kind: gsm8k has no generated items."),
        ({"task": "math500", "source": {"kind": "generated"}}, "source.kind: math500 has no generated items."),
        ({"task": "sudoku", "source": {"kind": "hub"}}, "source.kind: sudoku has no items from the Hub."),
        ({"task": "algebra", "source": {"kind": "hub"}}, "source.kind: algebra has no items from the Hub."),
        ({"task": "countdown3", "source": {"kind": "hub"}}, "source.kind: countdown3 has no items from the Hub."),
        (
            {"task": "countdown3", "source": {"kind": "generated", "difficulty": "easy"}},
            "source.difficulty: countdown3 has no levels.",
        ),
        ({"task": "sudoku", "lengths": [4096]}, "sudoku/standard/0/"),
        ({"task": "sudoku", "lengths": [47]}, "lengths: "),
    ],
)
def test_an_evaluation_that_has_no_such_items_is_refused(
    ask: Callable[..., httpx.Response], studio: Studio, order: dict[str, Any], said: str
) -> None:
    assert refused(ask("/evaluations", {"checkpoints": ["tiny"], **order}), studio).startswith(said)


@pytest.mark.parametrize("source", [None, {"kind": "hub"}, {"kind": "hub", "dataset": "someone/problems"}])
def test_items_of_the_hub_are_refused_where_the_studio_is_kept_off_it(
    ask: Callable[..., httpx.Response],
    studio: Studio,
    source: dict[str, str] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    said = refused(ask("/evaluations", {"checkpoints": ["tiny"], "task": "math500", "source": source}), studio)
    assert said.startswith("source.kind: The items of ")
    assert "this studio is kept off the network. Upload the file as items of math500" in said
    assert "HF_HUB_OFFLINE=0" in said


def test_the_server_fetches_and_the_job_reads_what_was_fetched(
    ask: Callable[..., httpx.Response], studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = {
        "checkpoints": ["tiny"],
        "task": "gsm8k",
        "source": {"kind": "hub", "dataset": "someone/problems", "file": "test.jsonl"},
        "sampling": {"length": 16, "block_length": 16, "steps": 2},
    }
    with serving_data(tmp_path, monkeypatch) as hub:
        hub.put("someone/problems", "test.jsonl", "".join(json.dumps(row) + "\n" for row in GSM8K).encode())
        [begun] = ask("/evaluations", order).json()
        assert hub.fetched == ["test.jsonl"]
        [missing] = ask("/evaluations", order | {"source": order["source"] | {"file": "no.jsonl"}}).json()["problems"]
        assert missing["field"] == "source.dataset"
        monkeypatch.setattr("gift_core.tasks.item_rows.MOST_BYTES", 1000)
        hub.put("someone/problems", "large.jsonl", b" " * 2000)
        [large] = ask("/evaluations", order | {"source": order["source"] | {"file": "large.jsonl"}}).json()["problems"]
        assert "the most is" in large["message"]
        assert hub.fetched == ["test.jsonl"], "nothing more was fetched"
    # As the environment of every job has it.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    ended = carry_out(studio, begun["id"])
    assert (ended.state, ended.step) == (JobState.FINISHED, 4), ended.failure


def test_a_file_of_other_columns_is_refused_by_their_names(
    ask: Callable[..., httpx.Response], studio: Studio, send: Callable[..., str]
) -> None:
    learned, items = send(ROWS), send(GSM8K, "gsm8k")
    for task, dataset, said in (
        ("gsm8k", learned, 'The row has no column "question"'),
        ("math500", items, 'The row has no column "problem"'),
        ("countdown", items, "countdown has no items from a file"),
    ):
        source = {"kind": "dataset", "dataset": dataset}
        assert said in refused(ask("/evaluations", {"checkpoints": ["tiny"], "task": task, "source": source}), studio)


def test_checkpoints_that_are_gone_are_refused(
    ask: Callable[..., httpx.Response], studio: Studio, trained: Job
) -> None:
    shutil.rmtree(job_directory(studio.data, trained) / CHECKPOINT)
    small = {"source": {"kind": "generated", "count": 4}}
    for path, body in (
        ("/evaluations", {"checkpoints": ["tiny", trained.id], "task": "sudoku", **small}),
        ("/dataset-inspections", {"checkpoints": [trained.id]}),
        ("/responses", {"checkpoint": trained.id, "prompts": ["1 + 1?"]}),
        ("/exports", {"run": trained.id}),
        ("/experiments", {"run": {"model": {"start_from": trained.id}}}),
        (f"/jobs/{trained.id}/continue", {"epochs": 1}),
    ):
        said = refused(ask(path, body), studio)
        assert "are no longer in the data folder" in said, path


def test_prompts_that_do_not_fit_are_refused(ask: Callable[..., httpx.Response], studio: Studio) -> None:
    body = {"checkpoint": "tiny", "prompts": ["short", "word " * 3000]}
    said = refused(ask("/responses", body), studio)
    assert said.startswith("prompts.1: The prompt has ")


def test_a_look_at_data_that_nobody_keeps_is_refused(ask: Callable[..., httpx.Response], studio: Studio) -> None:
    for source in (
        {"kind": "hub", "dataset": "someone/rows", "split": "train"},
        {"kind": "file", "dataset": "ds_nowhere"},
    ):
        body = {"checkpoints": ["tiny"], "run": {"data": {"source": source}}}
        assert refused(ask("/dataset-inspections", body), studio).startswith("data.source.dataset: ")


@pytest.mark.parametrize(
    ("order", "field"),
    [({"layout": "adapter"}, "layout"), ({"layout": "published"}, "layout"), ({"layout": "zip"}, "layout")],
)
def test_a_layout_that_a_run_has_not_is_refused(
    ask: Callable[..., httpx.Response], studio: Studio, trained: Job, order: dict[str, str], field: str
) -> None:
    assert refused(ask("/exports", {"run": trained.id, **order}), studio).startswith(f"{field}: ")


def test_devices_that_no_worker_has_are_refused(ask: Callable[..., httpx.Response], studio: Studio) -> None:
    devices = [{"name": f"cuda:{number}", "title": "GPU", "memory": 1} for number in range(2)]
    studio.store.register(Worker(id="w", host="h", process_id=1, devices=devices, started=0.0, seen=0.0, heartbeat=1))
    run = {"run": {"training": {"batch_size": 9}, "data": {"source": {"kind": "task", "task": "sudoku"}}}}
    for query, said in (
        ({"device": "cuda:7"}, "device: No worker has the device cuda:7. The workers have cuda:0, cuda:1"),
        ({"device": "cpu"}, "device: No worker has the device cpu."),
        ({"devices": 3}, "devices: 3 devices were asked for; a worker has 2 at most."),
        ({"device": "cuda:1", "devices": 2}, "devices: 2 devices were asked for; a worker has 1 at most."),
        ({"devices": 2}, "training.batch_size: 9 sequences per step cannot be divided"),
    ):
        assert refused(ask("/experiments", run, **query), studio).startswith(said)
    assert ask("/experiments", run, device="cuda").status_code == 201


def test_a_job_whose_data_is_gone_is_not_taken_up_again(
    ask: Callable[..., httpx.Response], client: StudioClient, studio: Studio, send: Callable[..., str]
) -> None:
    dataset = send(GSM8K, "gsm8k")
    source = {"kind": "dataset", "dataset": dataset}
    [begun] = ask("/evaluations", {"checkpoints": ["tiny"], "task": "gsm8k", "source": source}).json()
    client.stop_evaluation(begun["id"])
    studio.datasets.delete(dataset)
    for again in ("resume", "retry"):
        assert "Unknown data set" in refused(ask(f"/jobs/{begun['id']}/{again}"), studio)


def test_a_job_that_this_version_cannot_read_says_why_it_is_not_taken_up_again(
    ask: Callable[..., httpx.Response], studio: Studio
) -> None:
    spec = {"checkpoint": "tiny", "task": "chess"}
    studio.store.add_job(Job(id="eval_old", kind=JobKind.EVALUATE, label="Old", spec=spec))
    studio.stop("eval_old", "user")
    for again in ("resume", "retry"):
        assert refused(ask(f"/jobs/eval_old/{again}"), studio).startswith("task: ")
