from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gift_core.cli import main
from gift_core.cli_common import console
from gift_core.models.loading import DiffusionModel, load_base
from gift_core.run import run_training
from gift_core.spec import RunSpec
from tests.gift_core.checkpoints import WRITERS

# Arguments of `gift`; exit code, stdout and stderr.
Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tiny() -> DiffusionModel:
    return load_base("tiny")


@pytest.fixture
def small_run() -> RunSpec:
    """Six optimiser steps on 24 puzzles in fp32: seconds, and every part is real."""
    return RunSpec().replace(
        {
            "data.source.examples": 24,
            "data.held_out": 4,
            "training.epochs": 2,
            "training.batch_size": 8,
            "training.precision": "fp32",
        }
    )


@pytest.fixture(params=WRITERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(kind: str, tmp_path: Path) -> Path:
    return WRITERS[kind](tmp_path / kind)


@pytest.fixture(scope="session")
def rows_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of a user's own, in a folder whose name must not leave the machine."""
    path = tmp_path_factory.mktemp("private-data") / "rows.jsonl"
    rows = [{"prompt": f"{i} and {i + 1} make", "response": str(2 * i + 1)} for i in range(24)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def adapter_run(tmp_path_factory: pytest.TempPathFactory, rows_file: Path) -> Path:
    """A finished LoRA run on the tiny base: four steps at a high rate, so that it moves."""
    directory = tmp_path_factory.mktemp("runs") / "gift"
    run_training(adapter_spec(rows_file), directory, Path)
    return directory


def adapter_spec(rows: Path) -> RunSpec:
    return RunSpec().replace(
        {
            "data.source": {"kind": "file", "dataset": str(rows)},
            "data.held_out": 2,
            "training.adapter": "lora",
            "training.lora.rank": 4,
            "training.epochs": 2,
            "training.batch_size": 12,
            "training.learning_rate": 0.01,
            "training.precision": "fp32",
        }
    )


@pytest.fixture
def gift_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """The same in this process, which has everything imported: exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    # It took the width of the terminal when it was imported, by whichever test that was.
    monkeypatch.setattr(console, "_width", 200)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gift", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run
