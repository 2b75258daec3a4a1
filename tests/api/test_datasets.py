"""What the API says of a data set, and what may be done with it."""

from __future__ import annotations

import csv
import io
import json

import httpx
import pyarrow
import pytest
from pyarrow import parquet

from tests.data_hub import COMMIT, serving_data
from ui.connection import StudioError
from workers.records import JobState

PAIRS = [("What is 1+1?", "2"), ("what is  1+1?", "two"), ("Name a colour.", "Red."), ("Name a colour.", "Red.")]


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture
def upload(client, tmp_path):
    return client.upload(written(tmp_path / "u", [{"prompt": p, "response": r} for p, r in PAIRS]), "mine.jsonl")


def refused(ask):
    with pytest.raises(StudioError) as caught:
        ask()
    return caught.value


def test_a_data_set_says_what_it_holds(client, upload):
    detail = client.dataset(upload.id)
    summary = detail.summary
    assert (summary.layout, summary.prompt_column, summary.response_column) == ("pairs", "prompt", "response")
    assert summary.columns == ["prompt", "response"]
    assert (summary.prompt_characters.least, summary.prompt_characters.most) == (12, 14)
    assert summary.response_characters.longest_row == 3
    assert (summary.duplicates.repeated, summary.duplicates.conflicting) == ([[3, 4]], [[1, 2]])
    assert detail.fingerprint == summary.fingerprint
    assert len(detail.fingerprint) == 64


def test_equal_rows_have_one_fingerprint_in_every_format(client, upload, tmp_path):
    table = tmp_path / "t"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("prompt", "response"), *PAIRS])
    other = client.upload(table, "mine.csv")
    rows = [{"prompt": p, "response": r} for p, r in PAIRS]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "p")
    packed = client.upload(tmp_path / "p", "mine.parquet")
    assert len({upload.id, other.id, packed.id}) == 3
    assert upload.fingerprint == other.fingerprint == packed.fingerprint


def test_columns_may_be_named_at_the_upload_or_later(client, tmp_path):
    talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    path = written(tmp_path / "u", [{"id": "1", "talk": talk}])
    waiting = client.upload(path, "talks.jsonl")
    assert (waiting.rows, waiting.summary.layout, waiting.summary.columns) == (1, None, ["id", "talk"])
    source = {"kind": "file", "dataset": waiting.id}
    assert "No prompt and response found" in str(refused(lambda: client.preview({"data": {"source": source}})))
    preview = client.preview({"data": {"source": source | {"conversation_column": "talk"}}})
    assert (preview.layout, preview.prompt_column, preview.response_column) == ("messages", "talk", "talk")

    other = written(tmp_path / "v", [{"id": "2", "talk": talk}])
    named = client.upload(other, "talks.jsonl", mapping={"conversation_column": "talk"})
    assert named.summary.layout == "messages"
    error = refused(lambda: client.upload(other, "talks.jsonl", mapping={"prompt_column": "tlak"}))
    assert error.problems[0].field == "data.source.prompt_column"
    contradiction = {"conversation_column": "talk", "prompt_column": "id"}
    assert refused(lambda: client.upload(other, "talks.jsonl", mapping=contradiction)).status == 422


def test_a_preview_counts_what_would_be_cut_and_what_repeats(client, upload):
    data = {"source": {"kind": "file", "dataset": upload.id}, "eos_tail": "one"}
    whole = client.preview({"data": data})
    assert whole.duplicates.repeated_rows == 1
    assert (whole.overlong, whole.truncated, whole.dropped) == (0, 0, 0)
    assert whole.tokens_of_a_row.most == whole.longest
    limit = whole.tokens_of_a_row.least
    for overlong, expected in (("refuse", (3, 0, 0)), ("truncate", (3, 3, 0)), ("drop", (3, 0, 3))):
        preview = client.preview({"data": data | {"max_length": limit, "overlong": overlong}})
        longer = [row for row in whole.examples if len(row.prompt) + len(row.response) > limit]
        assert (len(longer), preview.truncated, preview.dropped) == expected
        assert preview.overlong == len(longer)
        assert [row.cut for row in preview.examples] == [
            max(0, len(row.prompt) + len(row.response) - limit) for row in whole.examples
        ]
    assert preview.limit == limit


def test_every_problem_is_listed_and_no_cell_is_a_formula(client, url, tmp_path):
    rows = [{"prompt": "p", "response": ["=cmd()"] if n % 2 else "r"} for n in range(1, 1201)]
    path = written(tmp_path / "u", rows)
    error = refused(lambda: client.upload(path, "mine.jsonl"))
    assert len(error.problems) == 201
    assert error.problems[-1].message == "and 400 more rows."
    header, *listed = csv.reader(io.StringIO(client.check(path, "mine.jsonl")))
    assert header == ["where", "problem", "remedy"]
    assert [where for where, *_ in listed] == [f"row {n}" for n in range(1, 1201, 2)]
    with path.open("rb") as body:
        answer = httpx.post(f"{url}/api/v1/datasets/checks", params={"name": "a.jsonl"}, content=body.read())
    assert answer.headers["content-type"].startswith("text/csv")
    assert client.check(written(path, rows[1:2]), "mine.jsonl").splitlines() == ["where,problem,remedy"]
    assert client.datasets() == []
    assert list((tmp_path / "datasets").iterdir()) == []


def test_a_check_is_limited_like_an_upload(url):
    answer = httpx.post(f"{url}/api/v1/datasets/checks", params={"name": "a.jsonl"}, content=b"x" * 2**21)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_data_set_is_deleted(client, upload, tmp_path):
    client.delete_dataset(upload.id)
    assert client.datasets() == []
    assert list((tmp_path / "datasets").iterdir()) == []
    assert refused(lambda: client.dataset(upload.id)).status == 404
    assert refused(lambda: client.delete_dataset(upload.id)).status == 404


def test_a_data_set_is_not_deleted_under_a_run(client, upload, create, trainer, studio):
    source = {"kind": "file", "dataset": upload.id}
    _, (run,) = create(run={"data": {"source": source}}, methods=["sft"])
    error = refused(lambda: client.delete_dataset(upload.id))
    assert (error.status, run.id in str(error)) == (409, True)
    trainer.start(run)
    assert refused(lambda: client.delete_dataset(upload.id)).status == 409
    trainer.finish(run)
    assert studio.store.job(run.id).state == JobState.FINISHED
    client.delete_dataset(upload.id)
    assert client.datasets() == []


def test_a_split_of_the_hub_becomes_a_data_set(client, tmp_path, monkeypatch):
    with serving_data(tmp_path, monkeypatch) as hub:
        for part in (0, 1):
            rows = [{"prompt": f"p{part}{n}", "response": "r"} for n in range(3)]
            hub.put("a/rows", f"train-0000{part}-of-00002.jsonl", "\n".join(map(json.dumps, rows)).encode())
        fetched = client.fetch_dataset({"dataset": "a/rows"})
        assert fetched.rows == 6
        assert fetched.summary.origin.revision == COMMIT
        assert client.fetch_dataset({"dataset": "a/rows", "revision": COMMIT}).id == fetched.id
        preview = client.preview({"data": {"source": {"kind": "file", "dataset": fetched.id}}}, start=3, rows=1)
        assert preview.examples[0].row == 4
        run, before = {"data": {"source": {"kind": "hub", "dataset": "a/other"}}}, list(hub.fetched)
        hub.put("a/other", "train.jsonl", b'{"prompt": "p", "response": "r"}\n')
        assert "Fetch it first" in str(refused(lambda: client.preview(run)))
        assert "Fetch it first" in client.preflight({"run": run}).problems[0].remedy
        assert hub.fetched == before, "a look downloads nothing"
        hub.put("a/large", "train.jsonl", b"x" * (2**20 + 1))
        assert "the most is 1 MB" in str(refused(lambda: client.fetch_dataset({"dataset": "a/large"})))
    assert [path.suffix for path in (tmp_path / "datasets").iterdir()] == [".jsonl"]


def test_a_studio_that_is_kept_off_the_network_says_so(client, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    error = refused(lambda: client.fetch_dataset({"dataset": "a/rows"}))
    assert (error.status, error.problems[0].field) == (422, "data.source.dataset")
    assert "HF_HUB_OFFLINE=0" in error.problems[0].remedy
    assert refused(lambda: client.fetch_dataset({"dataset": "https://example.org/rows"})).status == 422
