"""Looking into checkpoints: what they compute, what their files hold, why they are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gift_core.errors import ModelError
from gift_core.models.loading import DiffusionModel, load_base, read_config
from tests.gift_core import checkpoints

IDS = torch.arange(5, 29).view(2, 12)


def logits(model: DiffusionModel, ids: torch.Tensor = IDS) -> torch.Tensor:
    with torch.no_grad():
        return model.network(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_base(str(folder))
    assert all(problem.field == "model.name" for problem in caught.value.problems)
    return str(caught.value)


def weights_in(folder: Path) -> dict[str, torch.Tensor]:
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    assert len(set(index.values())) > 1
    return {key: load_file(folder / file)[key] for key, file in index.items()}


def rewrite(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """Put other weights in the place of those of a checkpoint."""
    for file in folder.glob("*.safetensors*"):
        file.unlink()
    checkpoints.write(folder, read_config(folder), weights)
