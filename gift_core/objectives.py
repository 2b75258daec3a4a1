"""The method: entropy -> masking rate -> masking probability -> weight -> loss.

One small pure function per idea; SFT is the same composition with every relative rate equal to 1. Source: GIFT,
arXiv 2509.20863, section 3 and Algorithm 1; the `elbo` weighting restores the Jacobian that the Algorithm leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gift_core.spec import ObjectiveSpec

# Rows of logits whose fp32 copy is alive at once: 2**25 floats are 128 MiB.
_CHUNK_ELEMENTS = 2**25


def entropy(logits: Tensor) -> Tensor:
    """Entropy of softmax(logits) in nats, accumulated in fp32: [n, vocabulary] -> [n]."""
    rows = max(1, _CHUNK_ELEMENTS // logits.shape[-1])
    return torch.cat([_entropy_of_rows(chunk) for chunk in logits.split(rows)])


def _entropy_of_rows(logits: Tensor) -> Tensor:
    log_p = torch.log_softmax(logits.float(), dim=-1)
    # Rounding may leave a near-certain row a hair below zero, and a negative base has no square root.
    return (-(log_p.exp() * log_p).sum(-1)).clamp_min(0.0)


def masking_rate(entropy: Tensor, power: float) -> Tensor:
    """beta_i = H_i ** power; the paper takes power 0.5."""
    return entropy.pow(power)


def relative_rate(
    rate: Tensor, response_mask: Tensor, reference: Literal["sequence", "batch"] | float
) -> tuple[Tensor, Tensor]:
    """r_i = beta_i / beta_ref and beta_ref: [batch, length] -> [batch, length], [batch, 1].

    r_i is 0 outside the response. Where beta_ref is 0 all rates are equal, so r_i is 1 and GIFT is SFT.
    """
    # The mean of equal fp32 numbers is exact in fp64: equal entropies then give exactly r_i = 1.
    beta = rate.double() * response_mask
    if reference == "sequence":
        beta_ref = beta.sum(1, keepdim=True) / response_mask.sum(1, keepdim=True).clamp_min(1)
    elif reference == "batch":
        beta_ref = (beta.sum() / response_mask.sum().clamp_min(1)).expand(len(beta), 1)
    else:
        beta_ref = beta.new_full((len(beta), 1), reference)
    relative = torch.where(beta_ref > 0, beta / beta_ref, 1.0) * response_mask
    return relative.float(), beta_ref.float()


def masking_probability(t: Tensor, relative: Tensor) -> Tensor:
    """t_i = 1 - (1-t) ** r_i for diffusion times t in (0, 1), without cancellation for small t or r."""
    return -torch.expm1(relative * torch.log1p(-t))


def token_weight(t: Tensor, relative: Tensor, weighting: Literal["inverse", "elbo"]) -> Tensor:
    """w_i of a masked token: 1/t_i (`inverse`), or F_i'(t)/F_i(t) = r_i (1-t)**(r_i-1) / t_i (`elbo`).

    Call it for masked positions only: a token with r_i = 0 is never masked and its weight would be 0/0.
    """
    inverse = masking_probability(t, relative).reciprocal()
    if weighting == "inverse":
        return inverse
    return inverse * relative * torch.exp((relative - 1) * torch.log1p(-t))


@dataclass(frozen=True)
class Corruption:
    """Which response positions are masked, and how much each masked one counts.

    `masked` is bool [batch, length]; `weight` is [masked positions], in row-major order of `masked`.
    """

    masked: Tensor
    weight: Tensor


def corrupt(relative: Tensor, t: Tensor, u: Tensor, weighting: Literal["inverse", "elbo"]) -> Corruption:
    """Mask position i iff u_i < t_i: rates [batch, length], times [batch], uniforms [batch, length]."""
    times = t[:, None].expand_as(relative)
    masked = u < masking_probability(times, relative)
    return Corruption(masked, token_weight(times[masked], relative[masked], weighting))


def rates(spec: ObjectiveSpec, probe_entropy: Tensor | None, response_mask: Tensor) -> Tensor:
    """r_i of the objective, [batch, length]. `probe_entropy` is H_i there; SFT needs none."""
    if spec.method == "sft" or probe_entropy is None:
        return response_mask.float()
    return relative_rate(masking_rate(probe_entropy, spec.power), response_mask, spec.reference)[0]


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """CE_i in nats, computed in fp32 whatever the logits' dtype: [n, vocabulary], [n] -> [n]."""
    return torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")


def reduce_loss(
    cross_entropy: Tensor,
    corruption: Corruption,
    response_mask: Tensor,
    normalisation: Literal["token", "sequence"],
    total: Tensor | int,
) -> Tensor:
    """The scalar loss; an empty mask gives exactly 0 and keeps the graph.

    `total` is what the global batch is divided by, across accumulation steps and ranks: its number of response tokens
    (`token`), or its number of sequences (`sequence`: the mean over sequences of the per-sequence mean).
    """
    weighted = corruption.weight * cross_entropy
    if normalisation == "sequence":
        lengths = response_mask.sum(1, keepdim=True).clamp_min(1).expand_as(corruption.masked)
        weighted = weighted / lengths[corruption.masked]
    return weighted.sum() / total
