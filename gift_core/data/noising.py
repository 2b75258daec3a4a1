"""From a batch and its rates to what a forward pass and its loss read. All of it on the CPU.

How many positions are masked decides how large the head's matrix product is, so the host must know it. Drawing the
masks there means that nothing waits for the device to find out, and that every device draws the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gift_core.data.collation import Batch
from gift_core.noise import response_permutation
from gift_core.objectives import RECIPES, Corruption, corrupt, rates, share_of_sequence
from gift_core.spec import ObjectiveSpec


@dataclass(frozen=True)
class NoisedBatch:
    """`positions` [n] are the masked cells in the flattened [batch, length], with their `targets` and `weights`.

    `entropy` is H_i [batch, length] where the method has a probe: only the accounting reads it.
    """

    batch: Batch
    entropy: Tensor | None
    relative: Tensor
    corruption: Corruption
    input_ids: Tensor
    positions: Tensor
    targets: Tensor
    weights: Tensor

    def model_inputs(self) -> dict[str, Tensor]:
        """The tensors that go to the device."""
        return {
            "input_ids": self.input_ids,
            "attention_mask": self.batch.attention_mask,
            "positions": self.positions,
            "targets": self.targets,
            "weights": self.weights,
        }


def batch_rates(
    objective: ObjectiveSpec, batch: Batch, score: Tensor | None, seed: int, reference: Tensor | None = None
) -> Tensor:
    """r_i of a batch, [batch, length], from its probe's score; permuted where the method asks for it."""
    relative = rates(objective, score, batch.response_mask, reference)
    if not RECIPES[objective.method].shuffled:
        return relative
    relative = relative.clone()
    for row, example in enumerate(batch.examples):
        response = slice(example.prompt_length, len(example.input_ids))
        order = response_permutation(seed, example.id, example.response_length)
        relative[row, response] = relative[row, response][torch.from_numpy(order)]
    return relative


def noise(
    objective: ObjectiveSpec,
    batch: Batch,
    relative: Tensor,
    mask_id: int,
    normalisation: Literal["token", "sequence"] = "token",
    entropy: Tensor | None = None,
) -> NoisedBatch:
    """Mask a batch. The loss is sum(weights * CE), divided by the response tokens or the sequences of the step."""
    corruption = corrupt(objective, relative, batch.t, batch.u, batch.response_mask, batch.attention_mask)
    masked = corruption.masked
    weights = corruption.weight
    if normalisation == "sequence":
        weights = share_of_sequence(corruption, batch.response_mask)
    return NoisedBatch(
        batch=batch,
        entropy=entropy,
        relative=relative,
        corruption=corruption,
        input_ids=batch.input_ids.masked_fill(masked, mask_id),
        positions=masked.flatten().nonzero()[:, 0],
        targets=batch.labels[masked],
        weights=weights,
    )
