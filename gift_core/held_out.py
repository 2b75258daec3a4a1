"""The evaluation loss: deterministic, and the standard objective for every method, so that curves can be compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from gift_core.data.collation import IGNORED, NoisyExample, collate
from gift_core.data.tokenisation import TokenisedExample
from gift_core.models.forward import logits_at
from gift_core.models.loading import DiffusionModel
from gift_core.noise import evaluation_noise
from gift_core.objectives import cross_entropy

# Midpoints of four equal parts of (0, 1): the midpoint rule for the integral over t.
TIME_GRID = (0.125, 0.375, 0.625, 0.875)


@torch.inference_mode()
def held_out_loss(model: DiffusionModel, examples: Sequence[TokenisedExample], rows: int, *, autocast: bool) -> float:
    """Nats per response token: mean over a fixed t grid of sum CE_i / t over masked i, with u fixed per example.

    `rows` sequences go through the model at once, in bf16 with `autocast`.
    """
    items = [
        NoisyExample(example, time, evaluation_noise(example.id, index, example.response_length))
        for index, time in enumerate(TIME_GRID)
        for example in examples
    ]
    order = np.argsort([len(item.example.input_ids) for item in items], kind="stable")
    was_training = model.network.training
    model.network.eval()
    total = torch.zeros((), device=model.device, dtype=torch.float64)
    for start in range(0, len(items), rows):
        batch = collate([items[i] for i in order[start : start + rows]], model.eos_id)
        with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=autocast):
            total += _weighted_sum(model, {name: value.to(model.device) for name, value in batch.items()})
    model.network.train(was_training)
    return float(total) / sum(item.example.response_length for item in items)


def _weighted_sum(model: DiffusionModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    times = batch["t"][:, None].expand_as(batch["u"])
    masked = (batch["labels"] != IGNORED) & (batch["u"] < times)
    noised = batch["input_ids"].masked_fill(masked, model.mask_id)
    logits = logits_at(model.network, noised, batch["attention_mask"], masked)
    return (cross_entropy(logits, batch["labels"][masked]) / times[masked]).sum(dtype=torch.float64)
