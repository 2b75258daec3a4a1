"""`gift check`: the report on a terminal and as JSON, and an exit code for scripts."""

from __future__ import annotations

import json
from pathlib import Path

from gift_core.preflight_document import PreflightReport
from tests.gift_core.conftest import Here

SMALL = ("--set", "data.source.examples=32", "--set", "training.batch_size=8")


def test_a_spec_that_can_be_trained(gift_here: Here) -> None:
    code, shown, said = gift_here("check", *SMALL, "--method", "sft", "--method", "gift")
    assert code == 0
    for row in ("runs", "steps", "memory at its peak", "disk, all runs", "training time, all runs", "SFT", "GIFT"):
        assert row in shown
    assert "can be trained" in shown
    assert "problem" not in said


def test_json_is_the_report(gift_here: Here) -> None:
    code, shown, _ = gift_here("check", *SMALL, "--json", "--effect", "2")
    report = PreflightReport.model_validate_json(shown)
    assert (code, report.ok, report.estimates.runs) == (0, True, 1)
    assert report.estimates.steps
    assert report.estimates.steps.steps == 40
    assert [warning.code for warning in report.warnings] == ["few_items"]


def test_everything_that_is_wrong_is_said_and_the_exit_code_is_1(gift_here: Here, tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("training: {epochs: none, lerning_rate: 1}\ndata: {source: {kind: file, dataset: gone.jsonl}}\n")
    code, _, said = gift_here("check", str(spec), "--set", "model.name=gpt-9")
    assert code == 1
    for field in ("training.epochs", "training.lerning_rate", "data.source.dataset", "model.name"):
        assert f"problem {field}:" in said
    assert gift_here("check", str(spec), "--json")[0] == 1


def test_a_file_that_is_no_spec(gift_here: Here, tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    for text, said in (
        ("a: [", "YAML"),
        ("day: 2001-99-99", "day"),
        ("seed: 1\nseed: 2", "twice"),
        ("- 1", "dictionary"),
    ):
        spec.write_text(text)
        code, _, error = gift_here("check", str(spec))
        assert (code, said in error) == (1, True)


def test_rows_of_ones_own_are_looked_at(gift_here: Here, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"prompt": "9" * 900 * (i == 3), "response": "2"}) + "\n" for i in range(1, 5)))
    code, _, said = gift_here("check", "--data", str(rows))
    assert code == 1
    assert "row" in said
