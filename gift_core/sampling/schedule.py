"""How many positions each step commits, known before the first step is taken."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gift_core.spec import SamplerName, SamplingSpec

# Dream's time falls from 1 to this.
LAST_TIME = 1e-3


def commit_counts(sampler: SamplerName, masked: int, steps: int) -> list[int]:
    """How many of `masked` positions each of `steps` steps commits; they sum to `masked`.

    LLaDA: equal shares, the first `masked % steps` steps one more. Dream: `int(left * (1 - s/t))` of those that are
    left, with t and s neighbours on a grid from 1 to 0.001, and in the last step all.
    """
    if sampler == "llada":
        share, more = divmod(masked, steps)
        return [share + (step < more) for step in range(steps)]
    counts: list[int] = []
    for transfer in transfer_probabilities(steps).tolist()[:-1]:
        counts.append(int((masked - sum(counts)) * transfer))
    return [*counts, masked - sum(counts)]


def transfer_probabilities(steps: int) -> Tensor:
    """Dream's `1 - s/t` of each step, [steps]; 1 in the last, which leaves nothing masked."""
    times = torch.linspace(1, LAST_TIME, steps + 1)
    probabilities = 1 - times[1:] / times[:-1]
    probabilities[-1] = 1
    return probabilities


@dataclass(frozen=True)
class Schedule:
    """The counts of a batch, [batch, blocks, steps of a block]: rows differ where tokens are given."""

    counts: Tensor
    following: Tensor

    @classmethod
    def of(cls, sampling: SamplingSpec, masked: Tensor) -> Schedule:
        """The schedule of a batch with so many `masked` positions in each block, [batch, blocks]."""
        steps = sampling.steps // masked.shape[1]
        table = {count: commit_counts(sampling.sampler, count, steps) for count in set(masked.flatten().tolist())}
        counts = torch.tensor([[table[count] for count in row] for row in masked.tolist()], device=masked.device)
        # Of each step, the first from it on that commits anything: a step that commits nothing needs no forward pass.
        own = torch.arange(steps, device=masked.device)
        # Where each position is drawn by itself, any step may.
        ahead = torch.where((counts > 0) | (sampling.remasking == "origin"), own, steps - 1)
        return cls(counts, ahead.flip(-1).cummin(-1).values.flip(-1))

    @property
    def last_step(self) -> int:
        return self.counts.shape[-1] - 1
