"""Data sets of the Hub: which files are a split, what is fetched, and what is said where it cannot be."""

from __future__ import annotations

import datetime
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pyarrow
import pytest
from pyarrow import parquet

from gift_core.data.checking import all_problems
from gift_core.data.files import read_examples
from gift_core.data.hub import fetch_split, find_split, join_parts, resolve_split
from gift_core.data.sources import load_split
from gift_core.data_spec import ColumnMapping, DataSpec, HubSource
from gift_core.errors import DataError, SpecError
from tests.data_hub import COMMIT, CONVERTED, DataHub, serving_data


def rows(*numbers: int) -> list[dict[str, str]]:
    return [{"prompt": f"question {number}", "response": str(number)} for number in numbers]


def jsonl(*numbers: int) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows(*numbers)).encode()


def as_parquet(*numbers: int) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows(*numbers)), file)
    return file.getvalue()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DataHub]:
    with serving_data(tmp_path, monkeypatch) as hub:
        for name in ("a/parts", "a/plain", "a/script"):
            hub.put(name, "README.md", b"# rows")
        hub.put("a/parts", "main/train-00000-of-00002.parquet", as_parquet(*range(30)))
        hub.put("a/parts", "main/train-00001-of-00002.parquet", as_parquet(*range(30, 60)))
        hub.put("a/parts", "main/test-00000-of-00001.parquet", as_parquet(99))
        hub.put("a/parts", "other/train-00000-of-00001.parquet", as_parquet(77))
        hub.put("a/plain", "data/train.jsonl", jsonl(1, 2))
        hub.put("a/plain", "data/train.csv", b"prompt,response\n1,2\n")
        hub.put("a/plain", "training_notes.json", b"[]")
        hub.put("a/script", "script.py", b"raise SystemExit")
        hub.put("a/script", "default/train/0000.parquet", as_parquet(5), CONVERTED)
        hub.put("a/script", "default/train/0001.parquet", as_parquet(6), CONVERTED)
        yield hub


@pytest.mark.parametrize(
    ("source", "files", "commit"),
    [
        (
            {"dataset": "a/parts", "config": "main"},
            ["main/train-00000-of-00002.parquet", "main/train-00001-of-00002.parquet"],
            COMMIT,
        ),
        ({"dataset": "a/parts", "split": "test"}, ["main/test-00000-of-00001.parquet"], COMMIT),
        ({"dataset": "a/plain", "revision": COMMIT}, ["data/train.jsonl"], COMMIT),
        ({"dataset": "a/script"}, ["default/train/0000.parquet", "default/train/0001.parquet"], CONVERTED),
    ],
)
def test_the_files_of_a_split_are_found_by_their_names(
    hub: DataHub, source: dict[str, str], files: list[str], commit: str
) -> None:
    found = find_split(HubSource.parse(source))
    assert (list(found.files), found.name.revision) == (files, commit)
    assert not hub.fetched


def test_a_run_learns_from_a_split_and_fetches_nothing_else(hub: DataHub) -> None:
    data = DataSpec.parse({"source": {"kind": "hub", "dataset": "a/parts", "config": "main"}, "held_out": 6})
    split = load_split(data, Path)
    assert sorted(example.id for example in split.training + split.held_out) == list(range(1, 61))
    assert len(split.held_out) == 6
    assert {example.prompt for example in split.training} == {
        f"question {example.id - 1}" for example in split.training
    }
    assert hub.fetched == ["main/train-00000-of-00002.parquet", "main/train-00001-of-00002.parquet"]


def test_a_pinned_split_that_was_fetched_whole_needs_no_connection(
    hub: DataHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = HubSource(dataset="a/parts", config="main", revision=COMMIT)
    _, paths = fetch_split(pinned)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert [path.name for path in resolve_split(pinned)] == [path.name for path in paths]
    paths[1].unlink()
    with pytest.raises(DataError, match="kept off the network") as caught:
        resolve_split(pinned)
    assert "HF_HUB_OFFLINE=0" in caught.value.problems[0].remedy


def test_too_much_is_refused_before_it_is_fetched(hub: DataHub) -> None:
    with pytest.raises(DataError, match="the most is"):
        fetch_split(HubSource(dataset="a/parts", config="main"), most_bytes=1000)
    assert not hub.fetched


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"dataset": "a/nothing"}, "has no data set a/nothing"),
        ({"dataset": "a/plain", "revision": "v9"}, "a/plain has no revision v9"),
        ({"dataset": "a/plain", "split": "validation"}, "no split validation that can be read; its files are"),
        ({"dataset": "a/parts", "config": "third"}, "no split train of configuration third"),
        ({"dataset": "a/parts"}, "is not one list of rows: main/train, other/train"),
    ],
)
def test_what_the_hub_does_not_have_is_named(hub: DataHub, source: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        fetch_split(HubSource.parse(source))
    assert caught.value.problems[0].remedy


@pytest.mark.parametrize(
    "name",
    ["no-such", "https://evil.example/a", "../up", "a/b/c", "a/..", "a/b@main", "//evil.example/a", "a/b?x=1"],
)
def test_nothing_but_owner_and_name_is_asked_for(name: str) -> None:
    with pytest.raises(SpecError):
        HubSource.parse({"dataset": name})


def test_parts_are_joined_into_one_file(hub: DataHub, tmp_path: Path) -> None:
    target = tmp_path / "one.jsonl"
    join_parts(fetch_split(HubSource(dataset="a/parts", config="main"))[1], target)
    assert [json.loads(line) for line in target.read_text().splitlines()] == rows(*range(60))


def test_what_json_cannot_hold_does_not_keep_rows_from_being_joined(tmp_path: Path) -> None:
    row = rows(1)[0] | {"picture": b"\xff", "score": math.nan, "when": datetime.date(2020, 1, 1), "tags": ["a", None]}
    parts = [tmp_path / "0.parquet", tmp_path / "1.parquet"]
    for part in parts:
        parquet.write_table(pyarrow.Table.from_pylist([row]), part)
    join_parts(parts, tmp_path / "one.jsonl")
    contents = read_examples(tmp_path / "one.jsonl")
    assert len(contents.examples) == 2
    kept = json.loads((tmp_path / "one.jsonl").read_text().splitlines()[0])
    unread = {
        **{"picture": {"binary data": "left out"}, "when": {"a date": "left out"}},
        **{"score": None, "tags": ["a", None]},
    }
    assert kept == rows(1)[0] | unread


def test_joined_parts_are_read_as_the_parts_are(tmp_path: Path) -> None:
    """Rows keep their numbers and numbers their text; a value that is not text does not become an empty cell."""
    parts, target = [tmp_path / "0.jsonl", tmp_path / "1.parquet"], tmp_path / "one.jsonl"
    parts[0].write_text('\n{"prompt": "p", "response": 1.10}\n\n\n{"prompt": "q", "response": NaN}\n')
    prices = pyarrow.array([0.1, 1e16], pyarrow.float32())
    days = [datetime.date(2020, 1, 1), None]
    parquet.write_table(pyarrow.table({"prompt": ["r", "s"], "response": prices, "day": days}), parts[1])
    join_parts(parts, target)

    def outcome(paths: list[Path], response: str) -> list[str]:
        return [f"{p.field}: {p.message}" for p in all_problems(paths, ColumnMapping(response_column=response))]

    assert outcome([target], "response") == outcome(parts, "response") != []
    *others, date, missing = outcome(parts, "day")
    assert date == 'row 6: The response (column "day") is a date, not text.'
    # JSON has no dates.
    assert outcome([target], "day") == [*others, date.replace("a date", "an object"), missing]
    parts[0].write_text('{"prompt": "p", "response": 1.10}\n\n')
    join_parts(parts, target)
    assert read_examples(target).examples == read_examples(parts).examples
    assert [example.response for example in read_examples(target).examples] == ["1.10", "0.1", "10000000000000000"]
