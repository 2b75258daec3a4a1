"""A short run on rows and a base of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gift_core.models.catalogue import find_model
from gift_core.spec import RunSpec
from tests.gift_core.resuming.interrupted import (
    write_rows,
)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    write_rows(path)
    return path


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The tiny base as a folder of one's own."""
    return Path(shutil.copytree(find_model("tiny"), tmp_path / "base"))


@pytest.fixture
def spec(rows: Path, base: Path) -> RunSpec:
    """Six steps, a checkpoint after each second one."""
    return RunSpec().replace(
        {
            "model.name": str(base),
            "data.source": {"kind": "file", "dataset": str(rows)},
            "data.held_out": 2,
            "training.adapter": "lora",
            "training.lora.rank": 2,
            "training.epochs": 2,
            "training.batch_size": 8,
            "training.checkpoint_every": 2,
            "training.precision": "fp32",
            "objective.method": "sft",
        }
    )
