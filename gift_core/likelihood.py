"""A Monte-Carlo bound on log p(answer | prompt) of a masked diffusion model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from gift_core.models.forward import evaluating, read_head
from gift_core.models.head import weighted_cross_entropy
from gift_core.models.loading import DiffusionModel
from gift_core.noise import Stream, generator, uniforms


def mask_draws(length: int, samples: int, seed: int) -> np.ndarray:
    """Which positions of an answer each sample masks, bool [samples, length]: l of them, l uniform on 1..length.

    The l are spread evenly over their range from one uniform start, and each is uniform still. All checkpoints, and all
    answers of one length, see the same draws.
    """
    start = float(uniforms(generator(Stream.LIKELIHOOD, seed, 0, counter=1), 1)[0])
    places = (np.arange(samples) + start) / samples
    counts = 1 + np.minimum((places * length).astype(int), length - 1)
    u = np.stack([uniforms(generator(Stream.LIKELIHOOD, seed, sample), length) for sample in range(samples)])
    ranks: np.ndarray = u.argsort(1, kind="stable").argsort(1, kind="stable")
    masked: np.ndarray = ranks < counts[:, None]
    return masked


@torch.no_grad()
def log_likelihood_bound(
    model: DiffusionModel, prompt: Sequence[int], answer: Sequence[int], *, samples: int, seed: int, rows: int
) -> float:
    """Lower bound on log p(answer | prompt) in nats, estimated without bias from `samples` masks, `rows` at a time.

    -E [length / l * sum of CE over the l masked positions]: masking a number of tokens instead of each with
    probability t has the same mean and less variance. One token is exact. Source: LLaDA, arXiv 2502.09992,
    Algorithm 3.
    """
    if not answer:
        return 0.0
    masked = torch.from_numpy(mask_draws(len(answer), samples, seed))
    ids = torch.tensor([*prompt, *answer])
    with evaluating(model.network):
        parts = [_weighted_loss(model, ids, part) for part in masked.split(rows)]
    return -float(torch.stack(parts).double().sum()) / samples


def _weighted_loss(model: DiffusionModel, ids: Tensor, masked: Tensor) -> Tensor:
    """Sum over samples of length / l * CE, for answers masked as `masked` [rows, answer] says."""
    rows, length = masked.shape
    batch = ids.repeat(rows, 1)
    everywhere = torch.zeros_like(batch, dtype=torch.bool)
    everywhere[:, -length:] = masked
    weights = (length / masked.sum(1, keepdim=True)).expand(-1, length)[masked]
    device = model.device
    read = partial(weighted_cross_entropy, targets=batch[everywhere].to(device), weights=weights.to(device))
    loss, _ = read_head(
        model.network,
        batch.masked_fill(everywhere, model.mask_id).to(device),
        None,
        everywhere.flatten().nonzero()[:, 0].to(device),
        read,
        model.logit_shift,
    )
    return loss.cpu()
