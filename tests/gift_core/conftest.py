from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from gift_core.models.loading import DiffusionModel, load_base
from gift_core.spec import RunSpec
from tests.gift_core.checkpoints import WRITERS


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tests run side by side: more threads than cores spin against each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny() -> DiffusionModel:
    return load_base("tiny")


@pytest.fixture
def small_run() -> RunSpec:
    """Six optimiser steps on 48 puzzles in fp32: seconds, and every part is real."""
    return RunSpec().replace(
        {
            "data.source.examples": 48,
            "data.held_out": 8,
            "training.epochs": 2,
            "training.batch_size": 16,
            "training.precision": "fp32",
        }
    )


@pytest.fixture(params=WRITERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(kind: str, tmp_path: Path) -> Path:
    return WRITERS[kind](tmp_path / kind)
