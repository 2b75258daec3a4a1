"""`gift inspect` and `gift inspect-data` on the tiny base."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from gift_core.cli import app
from gift_core.dataset_document import DatasetInspection
from gift_core.documents import Inspection
from gift_core.errors import GiftError, SpecError
from gift_core.positions import parse_positions


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "COLUMNS", "200")


def gift(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def refusal(*arguments: str) -> str:
    result = gift(*arguments)
    assert isinstance(result.exception, GiftError), result.output
    return result.exception.problems[0].field


def test_inspect_prints_what_training_makes_of_each_token() -> None:
    found = gift("inspect", "tiny", "--t", "0.3", "--weighting", "elbo", "--mask", "2,4-5")
    assert found.exit_code == 0, found.output
    for heading in ("t_i t=0.3", "w_i t=0.3", "t_i w_i mean", "H here", "p here"):
        assert heading in found.stdout
    as_json = gift("inspect", "tiny", "--t", "0.3", "--weighting", "elbo", "--mask", "2,4-5", "--json")
    document = Inspection.model_validate_json(as_json.stdout)
    assert [i for i, masked in enumerate(document.masked) if masked] == [2, 4, 5]
    average, at = document.checkpoints[0].masking
    assert (average.t, at.t) == (None, 0.3)
    row = next(line for line in found.stdout.splitlines() if line.startswith("│ 2 "))
    partial = document.checkpoints[0].partial
    assert partial is not None
    for value in (partial.probability[2], at.frequency[2], at.weighted[1].product[2], average.frequency[2]):
        assert f"{value:.3f}" in row


def test_text_that_looks_like_markup_is_shown_as_it_is() -> None:
    found = gift("inspect", "tiny", "--prompt", "hi", "--response", "[/red]")
    assert found.exit_code == 0, found.output


def test_inspect_data_shows_a_file_and_a_task(rows_file: Path) -> None:
    found = gift("inspect-data", "tiny", "--data", str(rows_file), "--examples", "9", "--set", "data.held_out=0")
    assert found.exit_code == 0, found.output
    for part in ("9 of 24 examples", "Highest mean entropy", "By class of token", "beta = H ** 0.5", "number"):
        assert part in found.stdout
    arguments = ("--task", "countdown", "--set", "data.source.examples=40", "--examples", "8", "--held-out", "--json")
    document = DatasetInspection.model_validate_json(gift("inspect-data", "tiny", *arguments).stdout)
    assert (document.examples, document.available, len(document.checkpoints)) == (8, 256, 1)


def test_inspect_data_looks_at_what_a_run_learned_from(adapter_run: Path) -> None:
    found = gift("inspect-data", str(adapter_run), "tiny", "--json")
    assert found.exit_code == 0, found.output
    document = json.loads(found.stdout)
    # 24 rows, of which two are held out.
    assert document["available"] == 22
    trained, base = document["checkpoints"]
    assert trained["tokens"] == base["tokens"]
    assert trained["mean_entropy"] != base["mean_entropy"]


def test_a_mistake_names_its_option(rows_file: Path) -> None:
    assert refusal("inspect", "tiny", "--mask", "3-x") == "--mask"
    assert refusal("inspect", "tiny", "--mask", "300") == "masked"
    assert refusal("inspect-data", "tiny", "--task", "chess") == "data.source.task"
    assert refusal("inspect-data", "tiny", "--data", str(rows_file), "--task", "sudoku") == "--data"
    assert refusal("inspect-data", "tiny", "--data", "nowhere.jsonl") == "data.source.dataset"


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 9)), min_size=1, max_size=5))
def test_positions_are_numbers_and_ranges(ranges: list[tuple[int, int]]) -> None:
    text = ", ".join(f"{first}-{first + more}" if more else str(first) for first, more in ranges)
    assert parse_positions(text) == [first + step for first, more in ranges for step in range(more + 1)]


@pytest.mark.parametrize("text", ["", "a", "1,,2", "-3", "1-2-3", "3-", "٣", "0-999999999", "5-3", "0-39999,1-2"])
def test_other_text_is_no_position(text: str) -> None:
    with pytest.raises(SpecError):
        parse_positions(text)
