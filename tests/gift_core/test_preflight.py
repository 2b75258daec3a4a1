"""The checks before anything is queued: what training would refuse is refused here, in the same words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gift_core.errors import DataError, GiftError, ModelError, SpecError
from gift_core.preflight import check
from gift_core.run import run_training
from gift_core.spec import RunSpec

GOOD = {"prompt": "1+1?", "response": "2"}
LONG = {"prompt": "1" * 2000, "response": "2"}  # Every digit is a token of its own.

MakeSpec = Callable[..., RunSpec]


@pytest.fixture
def file_spec(tmp_path: Path) -> MakeSpec:
    """A spec that trains on a file of the given rows."""

    def make(rows: list[dict[str, str]], **data: Any) -> RunSpec:
        path = tmp_path / "rows.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
        return RunSpec.parse({"data": {"source": {"kind": "file", "dataset": str(path)}, **data}})

    return make


def refused(spec: RunSpec, kind: type[GiftError]) -> GiftError:
    with pytest.raises(kind) as refusal:
        check(spec, Path)
    assert all(problem.remedy for problem in refusal.value.problems)
    return refusal.value


def test_what_can_be_trained_passes(file_spec: MakeSpec) -> None:
    check(RunSpec(), Path)
    check(file_spec([GOOD] * 12), Path)
    check(file_spec([GOOD]), Path)


@pytest.mark.parametrize("name", ["gpt-9", "../tiny", ""])
def test_an_unknown_model_is_refused_with_the_ones_there_are(name: str) -> None:
    problem = refused(RunSpec.parse({"model": {"name": name}}), ModelError).problems[0]
    assert problem.field == "model.name"
    assert repr(name) in problem.message
    assert "tiny" in problem.remedy


def test_a_folder_is_no_model_here_although_it_is_one_on_the_command_line(tmp_path: Path) -> None:
    refused(RunSpec.parse({"model": {"name": str(tmp_path)}}), ModelError)


def test_a_data_set_that_is_not_there_is_refused(tmp_path: Path) -> None:
    source = {"kind": "file", "dataset": str(tmp_path / "nowhere.jsonl")}
    problem = refused(RunSpec.parse({"data": {"source": source}}), DataError).problems[0]
    assert problem.field == "data.source.dataset"
    assert "nowhere.jsonl" in problem.message


def test_rows_that_are_too_long_are_named_with_their_length(file_spec: MakeSpec) -> None:
    error = refused(file_spec([GOOD, LONG, GOOD, LONG]), DataError)
    assert [problem.field for problem in error.problems] == ["row 2", "row 4"]
    assert "data.max_length is 512" in error.problems[0].message
    within_context = refused(file_spec([LONG], max_length=32_768), DataError)
    assert "context holds 1024" in within_context.problems[0].message


def test_a_long_row_is_refused_even_if_it_would_be_held_out(file_spec: MakeSpec) -> None:
    rows = [{"prompt": f"{number} " + "1" * 600, "response": "2"} for number in range(15)]
    error = refused(file_spec(rows, held_out=1), DataError)
    assert {problem.field for problem in error.problems} == {f"row {number}" for number in range(1, 16)}


def test_asking_for_more_problems_than_there_are_is_refused() -> None:
    source = {"kind": "task", "task": "countdown", "examples": 100_000}
    problem = refused(RunSpec.parse({"data": {"source": source}}), SpecError).problems[0]
    assert problem.field == "data.source.examples"


def test_training_refuses_in_the_same_words(file_spec: MakeSpec, tmp_path: Path) -> None:
    spec = file_spec([GOOD, LONG])
    with pytest.raises(DataError) as refusal:
        run_training(spec, tmp_path / "run", Path)
    assert refusal.value.problems == refused(spec, DataError).problems


def test_when_all_rows_are_too_long_to_keep_nothing_is_left(file_spec: MakeSpec) -> None:
    spec = file_spec([LONG] * 3, overlong="drop")
    error = refused(spec, DataError)
    assert "No example is left" in error.problems[0].message
    check(file_spec([GOOD, LONG], overlong="drop"), Path)


def test_four_bits_are_refused_before_anything_is_queued_where_they_cannot_be_had(
    file_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = file_spec([GOOD]).replace({"training": {"adapter": "lora"}, "model.quantisation": "nf4"})
    monkeypatch.setattr("gift_core.models.quantisation.importlib.util.find_spec", lambda name: None)
    assert refused(spec, ModelError).problems[0].field == "model.quantisation"
