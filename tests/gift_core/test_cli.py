from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def gift(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from gift_core.cli import main; main()", *arguments]
    environment = {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
        "HOME": str(cwd),
    }
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=240)


@pytest.mark.slow
def test_train_inspect_and_denoise_as_the_readme_says(tmp_path: Path) -> None:
    small = ["data.source.examples=32", "data.held_out=4", "training.epochs=1", "training.batch_size=16"]
    changes = [part for change in small for part in ("--set", change)]
    trained = gift("train", "--method", "sft", "--method", "gift", *changes, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    results = [json.loads(line) for line in trained.stdout.splitlines()]
    assert [result["run"] for result in results] == ["runs/sft", "runs/gift"]

    seen = gift("inspect", "tiny", "runs/gift", "--json", cwd=tmp_path)
    assert seen.returncode == 0, seen.stderr
    assert [part["label"] for part in json.loads(seen.stdout)["checkpoints"]] == ["tiny", "runs/gift"]

    played = gift("denoise", "runs/sft", "runs/gift", cwd=tmp_path)
    assert played.returncode == 0, played.stderr
    assert "runs/gift" in played.stdout

    again = gift("train", "--method", "sft", *changes, cwd=tmp_path)
    assert again.returncode == 1
    assert "already holds a finished run" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("train", "--set", "training.learning_rate=abc"), "training.learning_rate"),
        (("train", "--set", "nonsense"), "FIELD=VALUE"),
        (("train", "--set", "model.name=nothing"), "no base model called 'nothing'"),
        (("train", "missing.yaml"), "missing.yaml"),
        (("denoise", "nothing"), "no base model called 'nothing'"),
        (("inspect", "tiny", "--prompt", "hello"), "--response"),
    ],
)
def test_a_mistake_is_one_message_and_no_traceback(arguments: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    done = gift(*arguments, cwd=tmp_path)
    assert done.returncode != 0
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_the_printed_spec_is_a_spec_file(tmp_path: Path) -> None:
    printed = gift("train", "--set", "training.epochs=3", "--print-spec", cwd=tmp_path)
    (tmp_path / "spec.yaml").write_text(printed.stdout)
    again = gift("train", "spec.yaml", "--print-spec", cwd=tmp_path)
    assert again.stdout == printed.stdout
    assert "epochs: 3" in printed.stdout


def test_help_lists_the_fields_of_the_spec(tmp_path: Path) -> None:
    shown = gift("train", "--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert "training.learning_rate" in shown.stdout
