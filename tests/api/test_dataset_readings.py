"""One data set for each way to read a file: the summary is of what was asked for, and can be given back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gift_core.data.fingerprint import examples_digest
from gift_core.data.sources import load_split
from gift_core.data_spec import DataSpec
from gift_core.dataset_summary import DatasetSummary
from tests.data_hub import COMMIT, serving_data
from ui.client import StudioClient
from ui.connection import StudioError
from workers.dataset_records import DatasetRecords
from workers.records import Dataset
from workers.studio import Studio

BROUGHT = Path(__file__).parents[1] / "data" / "brought"
# Those of them that can be learned from.
USABLE = (
    *("both.jsonl", "dolly.jsonl", "metamath.jsonl", "openorca.jsonl", "s1k.jsonl", "mixture-of-thoughts.jsonl"),
    *("instruction-input-response.jsonl", "alpaca-history.json", "trailing-user.jsonl", "weight-zero.jsonl"),
    "empty-system.jsonl",
)
LAYOUTS = [BROUGHT / name for name in USABLE]
BOTH = BROUGHT / "both.jsonl"


def read_again(studio: Studio, source: dict[str, Any]) -> str:
    """The fingerprint of the examples that a run with this source would train on, in the file's order."""
    split = load_split(DataSpec.parse({"source": source, "held_out": 0}), studio.datasets.path)
    return examples_digest(split.training)


def test_a_file_for_one_purpose_and_then_for_another_is_two_data_sets(client: StudioClient, studio: Studio) -> None:
    problems = client.upload(BOTH, BOTH.name, task="gsm8k")
    assert (problems.task, problems.summary, problems.rows) == ("gsm8k", None, 2)
    rows = client.upload(BOTH, BOTH.name)
    assert rows.task == ""
    assert (rows.summary.prompt_column, rows.summary.response_column) == ("question", "answer")
    assert rows.summary.recognised
    assert rows.id != problems.id
    assert client.dataset(rows.id) == rows
    assert client.dataset(problems.id).summary is None
    # In the other order too, and again: each is there once.
    assert client.upload(BOTH, BOTH.name, task="gsm8k").id == problems.id
    assert client.upload(BOTH, BOTH.name).id == rows.id
    assert sorted(view.task for view in client.datasets()) == ["", "gsm8k"]
    assert studio.datasets.path(rows.id).read_bytes() == studio.datasets.path(problems.id).read_bytes()
    client.delete_dataset(problems.id)
    assert read_again(studio, {"kind": "file", "dataset": rows.id}) == rows.fingerprint


def test_other_columns_are_another_data_set_and_the_same_ones_are_not(client: StudioClient) -> None:
    found = client.upload(BOTH, BOTH.name)
    turned = client.upload(BOTH, BOTH.name, mapping={"prompt_column": "answer", "response_column": "question"})
    assert turned.id != found.id
    assert (turned.summary.prompt_column, turned.fingerprint != found.fingerprint) == ("answer", True)
    again = client.upload(BOTH, BOTH.name, mapping={"prompt_column": "question"})
    assert again.id == found.id, "what was named is what was found by name"
    assert client.dataset(turned.id).summary == turned.summary
    assert client.upload(BOTH, "other-name.jsonl").id == found.id


@pytest.mark.parametrize("path", LAYOUTS, ids=lambda path: path.name)
def test_the_mapping_that_comes_back_reads_the_same(client: StudioClient, studio: Studio, path: Path) -> None:
    detail = client.upload(path, path.name)
    mapping = detail.summary.mapping.model_dump(mode="json")
    named = {"kind": "file", "dataset": detail.id}
    assert read_again(studio, {**named, **mapping}) == read_again(studio, named) == detail.fingerprint
    assert client.upload(path, path.name, mapping={name: value for name, value in mapping.items() if value}) == detail
    runs = [{"data": {"source": source}} for source in (named, {**named, **mapping})]
    one, other = (client.preview(run) for run in runs)
    assert one == other
    assert (one.mapping, one.unused_columns, one.recognised) == (
        detail.summary.mapping,
        detail.summary.unused_columns,
        detail.summary.recognised,
    )
    assert set(one.used_columns) | set(one.unused_columns) == set(one.columns)


def test_the_input_is_part_of_the_prompt_wherever_it_is_asked(client: StudioClient, studio: Studio) -> None:
    path = BROUGHT / "instruction-input-response.jsonl"
    detail = client.upload(path, path.name)
    assert detail.summary.context_column == "input"
    assert detail.summary.unused_columns == []
    assert detail.summary.first_example.prompt == "Translate into German.\n\nhouse"
    # The fields of the summary by themselves mean the same as its mapping.
    fields = ("layout", "prompt_column", "response_column", "context_column", "system_column")
    given = {name: getattr(detail.summary, name) for name in fields}
    assert read_again(studio, {"kind": "file", "dataset": detail.id, **given}) == detail.fingerprint


def test_a_preview_by_other_columns_says_which_it_read(client: StudioClient) -> None:
    detail = client.upload(BOTH, BOTH.name)
    source = {"kind": "file", "dataset": detail.id, "prompt_column": "answer", "response_column": "question"}
    preview = client.preview({"data": {"source": source}})
    assert (preview.prompt_column, preview.response_column) == ("answer", "question")
    assert client.dataset(detail.id).summary.prompt_column == "question"


def test_a_split_of_the_hub_keeps_its_commit_though_the_same_bytes_were_uploaded(
    client: StudioClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded = client.upload(BOTH, "train.jsonl")
    with serving_data(tmp_path, monkeypatch) as hub:
        hub.put("a/rows", "train.jsonl", BOTH.read_bytes())
        fetched = client.fetch_dataset({"dataset": "a/rows"})
        assert fetched.summary.origin.revision == COMMIT
        assert fetched.fingerprint == uploaded.fingerprint
        assert client.fetch_dataset({"dataset": "a/rows"}).id == fetched.id
    assert client.upload(BOTH, "train.jsonl").id == uploaded.id
    assert client.dataset(uploaded.id).summary.origin is None


def test_a_launch_fetches_what_it_names_on_the_hub(
    client: StudioClient, studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"query": f"{n} + 1?", "response": str(n + 1), "type": "own"} for n in range(20)]
    run = {"data": {"source": {"dataset": "metamath"}, "held_out": 2}}
    with serving_data(tmp_path, monkeypatch) as hub:
        hub.put("meta-math/MetaMathQA", "train.jsonl", "\n".join(map(json.dumps, rows)).encode())
        assert not client.preflight({"run": run}).ok, "a look downloads nothing"
        assert hub.fetched == []
        created = client.create_experiment({"run": run, "methods": ["sft"]}, "key")
        assert client.create_experiment({"run": run, "methods": ["sft"]}, "key").id == created.id
        assert hub.fetched == ["train.jsonl"]
        [kept] = client.datasets()
        source = created.spec.run.data.source
        assert (source.kind, source.dataset) == ("file", kept.id)
        assert client.dataset(kept.id).summary.origin.repository == "meta-math/MetaMathQA"
        # What is kept is looked at as well.
        assert client.preview({"data": run["data"]}).rows == 20
        assert client.preflight({"run": run}).ok
        assert next(known for known in client.dataset_catalogue().datasets if known.name == "metamath").kept == kept.id


def test_a_studio_without_network_says_so_and_what_to_do(
    client: StudioClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with serving_data(tmp_path, monkeypatch):
        assert client.dataset_catalogue().online
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    catalogue = client.dataset_catalogue()
    assert not catalogue.online
    assert not any(known.available for known in catalogue.datasets)
    run = {"data": {"source": {"dataset": "s1k"}}}
    for ask in (
        lambda: client.fetch_dataset({"dataset": "simplescaling/s1K"}),
        lambda: client.create_experiment({"run": run}, "key"),
    ):
        with pytest.raises(StudioError) as caught:
            ask()
        [problem] = caught.value.problems
        assert problem.field == "data.source.dataset"
        assert "kept off the network" in problem.message
        assert "upload the file" in problem.remedy
    assert client.experiments() == []


def test_a_pinned_split_in_the_cache_needs_no_network(
    client: StudioClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving_data(tmp_path, monkeypatch) as hub:
        hub.put("a/rows", "train.jsonl", BOTH.read_bytes())
        first = client.fetch_dataset({"dataset": "a/rows", "revision": COMMIT})
        client.delete_dataset(first.id)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        again = client.fetch_dataset({"dataset": "a/rows", "revision": COMMIT})
    assert (again.fingerprint, again.summary.origin) == (first.fingerprint, first.summary.origin)


def test_records_of_older_studios_still_open_and_are_described_when_their_file_comes_again(
    client: StudioClient, studio: Studio
) -> None:
    """Of before mappings were stored, and of before summaries were."""
    path = BROUGHT / "instruction-input-response.jsonl"
    detail = client.upload(path, path.name)
    records = DatasetRecords(studio.store.database)
    known = records.get(detail.id)
    new = {
        "mapping",
        "used_columns",
        "unused_columns",
        "recognised",
        "first_example",
        "history_column",
        "reasoning_column",
    }
    summary = {name: value for name, value in known.summary.items() if name not in new}
    records.update(Dataset(**(known.model_dump() | {"summary": summary})))
    old = client.dataset(detail.id)
    assert old.summary.mapping.context_column == "input"
    assert old.summary.unused_columns == []
    source = {"kind": "file", "dataset": old.id, **old.summary.mapping.model_dump(mode="json")}
    assert read_again(studio, source) == old.fingerprint
    assert client.upload(path, path.name) == detail
    records.update(Dataset(**(known.model_dump() | {"summary": None, "fingerprint": ""})))
    assert client.dataset(detail.id).summary is None
    assert client.upload(path, path.name) == detail
    assert [view.id for view in client.datasets()] == [detail.id]


def test_an_old_record_of_problems_does_not_answer_for_rows(client: StudioClient, studio: Studio) -> None:
    """Older studios stored problems without their task, under the id that rows have now."""
    rows = client.upload(BOTH, BOTH.name)
    records = DatasetRecords(studio.store.database)
    records.update(Dataset(**(records.get(rows.id).model_dump() | {"summary": None, "fingerprint": ""})))
    problems = client.upload(BOTH, BOTH.name, task="gsm8k")
    assert (problems.id != rows.id, problems.task) == (True, "gsm8k")
    assert client.upload(BOTH, BOTH.name) == rows


def test_a_summary_says_nothing_of_columns_before_they_are_chosen(client: StudioClient, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("frage,antwort,nr\n1+1?,2,a\n")
    before = client.upload(path, path.name)
    assert (before.summary.mapping, before.summary.layout) == (None, None)
    chosen = {"prompt_column": "frage", "response_column": "antwort"}
    after = client.upload(path, path.name, mapping=chosen)
    assert after.id != before.id
    assert after.summary.unused_columns == ["nr"]
    assert client.upload(path, path.name).summary.layout is None
    assert DatasetSummary.model_validate(after.summary.model_dump(mode="json")) == after.summary
