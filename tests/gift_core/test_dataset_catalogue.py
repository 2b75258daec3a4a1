"""The catalogue of data sets, and sources that name a data set alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gift_core.data.catalogue import DATASETS, find_dataset
from gift_core.data_spec import DataSpec, FileSource, HubSource, TaskSource
from gift_core.errors import SpecError
from gift_core.spec import RunSpec
from gift_core.spec_reading import read_experiment
from tests.data_hub import serving_data
from tests.gift_core.conftest import Here

CASES = Path(__file__).parents[1] / "data" / "brought"


def source_of(changes: dict[str, Any], run: RunSpec | None = None) -> HubSource | FileSource | TaskSource:
    return (run or RunSpec()).replace(changes).data.source


def refused(changes: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(SpecError) as caught:
        source_of(changes)
    [problem] = caught.value.problems
    return problem.field, problem.message


@pytest.mark.parametrize("entry", DATASETS, ids=lambda entry: entry.name)
def test_each_entry_is_a_source_that_a_run_takes(entry: Any) -> None:
    source = source_of({"data.source.dataset": entry.name})
    assert isinstance(source, HubSource)
    assert (source.dataset, source.config, source.split) == (entry.repository, entry.config, entry.split)
    assert source.revision is None or re.fullmatch("[0-9a-f]{40}", source.revision)
    assert entry.learned.endswith(".")
    assert entry.rows is None or entry.rows > 0


def test_names_are_unique_and_their_case_is_free() -> None:
    assert len({entry.name for entry in DATASETS}) == len(DATASETS)
    assert find_dataset("S1K") == find_dataset("s1k")
    assert find_dataset("simplescaling/s1K") is None


def test_the_training_sets_of_the_paper_are_named() -> None:
    assert [entry.name for entry in DATASETS if entry.used_by_paper] == ["s1k", "s1k-1.1"]


@pytest.mark.parametrize(
    ("given", "kind", "dataset"),
    [
        ("s1k", "hub", "simplescaling/s1K"),
        ("openai/gsm8k", "hub", "openai/gsm8k"),
        ("rows.jsonl", "file", "rows.jsonl"),
        ("data/rows.CSV", "file", "data/rows.CSV"),
        ("./a/b", "file", "./a/b"),
        ("../rows", "file", "../rows"),
        ("/data/rows", "file", "/data/rows"),
        ("ds_0123456789abcdef", "file", "ds_0123456789abcdef"),
    ],
)
def test_a_name_alone_says_where_the_data_lies(given: str, kind: str, dataset: str) -> None:
    for changes in (
        {"data.source.dataset": given},
        {"data.source": {"dataset": given}},
        {"data.source": given},
        {"data": {"source": {"dataset": given}}},
    ):
        source = source_of(changes)
        assert (source.kind, source.dataset) == (kind, dataset)  # type: ignore[union-attr]


def test_what_is_given_beside_a_short_name_replaces_what_the_catalogue_has() -> None:
    changes = {"data.source.dataset": "gsm8k", "data.source.split": "test", "data.source.reasoning": "omit"}
    source = source_of(changes)
    assert isinstance(source, HubSource)
    assert (source.config, source.split, source.reasoning) == ("main", "test", "omit")
    assert source_of({"data.source": {"kind": "hub", "dataset": "gsm8k", "revision": "main"}}).revision == "main"  # type: ignore[union-attr]


def test_a_data_set_takes_the_place_of_a_whole_source_only_if_it_lies_elsewhere() -> None:
    columns = {"data.source.dataset": "a.jsonl", "data.source.prompt_column": "q"}
    run = RunSpec().replace(columns)
    assert source_of({"data.source.dataset": "b.jsonl"}, run).prompt_column == "q"  # type: ignore[union-attr]
    assert source_of({"data.source.dataset": "s1k"}, run).prompt_column is None  # type: ignore[union-attr]
    assert source_of({"training.epochs": 3}, run).prompt_column == "q"  # type: ignore[union-attr]


def test_what_is_no_name_is_refused_once_and_the_names_are_listed() -> None:
    field, message = refused({"data.source.dataset": "s1kk"})
    assert field == "data.source.dataset"
    assert "no data set called 's1kk'" in message
    assert "s1k-1.1" in message
    reading = read_experiment({"run": {"data": {"source": {"dataset": "s1kk"}}}})
    assert [problem.field for problem in reading.problems] == ["data.source.dataset"]
    assert refused({"data.source.dataset": "s1k", "data.source.task": "sudoku"})[0] == "data.source.task"
    assert refused({"data.source": {"dataset": 3}})[0] == "data.source.dataset"


def test_a_source_that_was_resolved_stays_what_it_is(tmp_path: Path) -> None:
    run = RunSpec().replace({"data.source.dataset": "s1k"})
    (tmp_path / "spec.yaml").write_text(run.to_yaml())
    assert RunSpec.from_yaml(tmp_path / "spec.yaml") == run
    (tmp_path / "short.yaml").write_text("data:\n  source: {dataset: s1k}\n")
    assert RunSpec.from_yaml(tmp_path / "short.yaml") == run
    assert DataSpec.parse({"source": {"task": "countdown"}}).source == TaskSource(task="countdown")


def test_the_command_line_lists_checks_and_trains_by_short_name(
    gift_here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, listed, _ = gift_here("datasets")
    assert code == 0
    assert all(entry.name in listed and entry.repository in listed for entry in DATASETS)
    assert "used by the paper" in listed
    assert next(entry["name"] for entry in json.loads(gift_here("datasets", "--json")[1])) == "s1k"
    code, spec, _ = gift_here("train", "--data", "s1k", "--print-spec")
    assert code == 0
    assert "dataset: simplescaling/s1K" in spec
    with serving_data(tmp_path, monkeypatch) as hub:
        hub.put("meta-math/MetaMathQA", "train.jsonl", (CASES / "metamath.jsonl").read_bytes())
        code, said, wrong = gift_here("check-data", "metamath")
        assert code == 0, wrong
        assert "MetaMath" in said
        assert hub.fetched == ["train.jsonl"]
    (Path.cwd() / "metamath").mkdir()
    assert "metamath" in gift_here("check-data", "metamath")[2]


@pytest.mark.parametrize(
    ("file", "recognised", "unused"),
    [
        ("s1k.jsonl", "s1K", ["solution", "cot_type", "source_type"]),
        ("mixture-of-thoughts.jsonl", "Mixture-of-Thoughts", ["num_tokens", "source"]),
        ("dolly.jsonl", "Dolly", ["category"]),
        ("metamath.jsonl", "MetaMath", ["type", "original_question"]),
        ("openorca.jsonl", "OpenOrca", ["id"]),
    ],
)
def test_check_data_says_what_was_recognised_and_what_is_not_used(
    gift_here: Here, file: str, recognised: str, unused: list[str]
) -> None:
    found = json.loads(gift_here("check-data", str(CASES / file), "--json")[1])
    assert (found["recognised"], found["unused_columns"]) == (recognised, unused)
    assert set(found["used_columns"]) | set(unused) == set(found["columns"])
    code, said, _ = gift_here("check-data", str(CASES / file))
    assert code == 0
    plain = " ".join(said.split())
    assert f"Recognised as {recognised}" in plain
    assert f"Not used {', '.join(unused)}" in plain
    assert found["first_example"]["response"] in said
    assert found["first_example"]["prompt"] in said


def test_reasoning_is_wrapped_as_the_protocol_says_unless_another_form_is_chosen(gift_here: Here) -> None:
    def response(*options: str) -> str:
        found = json.loads(gift_here("check-data", str(CASES / "s1k.jsonl"), *options, "--json")[1])
        return str(found["first_example"]["response"])

    answer, reasoning = "The answer is \\boxed{4}.", "Two and two make four."
    assert response() == f"<reasoning>{reasoning}</reasoning><answer>{answer}</answer>"
    assert response("--reasoning", "think") == f"<think>\n{reasoning}\n</think>\n\n{answer}"
    assert response("--reasoning", "omit") == answer


def test_a_terminal_is_sent_no_escape_sequences(gift_here: Here, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a\\u001b[31mred\\u0007", "response": "b\\tc"}\n')
    said = gift_here("check-data", str(path))[1]
    assert "red" in said
    assert "b       c" in said
    assert not {"\x1b", "\x07"} & set(said)
