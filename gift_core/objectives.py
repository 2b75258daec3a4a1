"""The method: score -> masking rate -> masking probability -> mask -> weight -> loss.

One small pure function per idea, and a method is a `Recipe` that names the functions it is made of. SFT is the same
composition with every relative rate equal to 1. Source: GIFT, arXiv 2509.20863, section 3 and Algorithm 1; the `elbo`
weighting restores the Jacobian that the Algorithm leaves out. Everything here is cheap and runs wherever its tensors
are; the cross-entropies come from `gift_core.models.head`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from gift_core.spec import Method, ObjectiveSpec, Weighting

Score = Literal["entropy", "nll"]

# Dream's context-adaptive weighting: the share of a neighbour's influence that is lost with each step away from it.
CART_DECAY = 0.1
# Neighbours further away than this have lost all but 0.9 ** 256 = 2e-12 of their influence.
_CART_REACH = 256


def masking_rate(score: Tensor, power: float) -> Tensor:
    """beta_i = H_i ** power; the paper takes power 0.5."""
    return score.pow(power)


def reference_rate(rate: Tensor, response_mask: Tensor, reference: Literal["sequence", "batch"] | float) -> Tensor:
    """beta_ref, the rate that counts as 1: [batch, length] -> fp64 [batch, 1]."""
    # The mean of equal fp32 numbers is exact in fp64: equal scores then give exactly r_i = 1.
    beta = rate.double() * response_mask
    if reference == "sequence":
        return beta.sum(1, keepdim=True) / response_mask.sum(1, keepdim=True).clamp_min(1)
    if reference == "batch":
        return mean_rate(rate_sums(rate, response_mask)).expand(len(beta), 1)
    return beta.new_full((len(beta), 1), reference)


def rate_sums(rate: Tensor, response_mask: Tensor) -> Tensor:
    """Sum of beta and number of tokens, fp64 [2]: what `mean_rate` needs when a batch lies in several pieces."""
    beta = rate[response_mask].double()
    return torch.stack([beta.sum(), beta.new_tensor(float(len(beta)))])


def mean_rate(sums: Tensor) -> Tensor:
    """beta_ref of the reference `batch` from the added-up `rate_sums` of its pieces: fp64 [1, 1]."""
    return (sums[0] / sums[1].clamp_min(1))[None, None]


def relative_rate(rate: Tensor, response_mask: Tensor, reference: Tensor) -> Tensor:
    """r_i = beta_i / beta_ref, and 0 outside the response: [batch, length], [batch, 1] -> fp32 [batch, length].

    Where beta_ref is 0 all rates are equal, so r_i is 1 and GIFT is SFT.
    """
    relative = torch.where(reference == 0, 1.0, rate.double() / reference)
    return (relative * response_mask).float()


def bounded_rate(relative: Tensor, response_mask: Tensor, floor: float, ceiling: float | None) -> Tensor:
    """r_i kept between `floor` and `ceiling`, inside the response."""
    return relative.clamp(floor, ceiling) * response_mask


def masking_probability(t: Tensor, relative: Tensor) -> Tensor:
    """t_i = 1 - (1-t) ** r_i for diffusion times t in (0, 1), without cancellation for small t or r."""
    return -torch.expm1(relative * torch.log1p(-t))


def token_weight(t: Tensor, relative: Tensor, weighting: Weighting) -> Tensor:
    """w_i of a masked token: 1/t_i (`inverse`), or F_i'(t)/F_i(t) = r_i (1-t)**(r_i-1) / t_i (`elbo`).

    Call it for masked positions only: a token with r_i = 0 is never masked and its weight would be 0/0.
    """
    inverse = masking_probability(t, relative).reciprocal()
    if weighting == "inverse":
        return inverse
    return inverse * relative * torch.exp((relative - 1) * torch.log1p(-t))


def context_weight(visible: Tensor, decay: float = CART_DECAY) -> Tensor:
    """Dream's CART: half the sum over visible neighbours j of p (1-p)**(|i-j|-1), [batch, length] -> [batch, length].

    Tokens near what is visible count more than tokens far from it. Source: Dream 7B, arXiv 2508.15487.
    """
    reach = min(visible.shape[1] - 1, _CART_REACH)
    distance = torch.arange(-reach, reach + 1, device=visible.device).abs()
    influence = torch.where(distance > 0, decay * (1 - decay) ** (distance - 1).float() / 2, 0.0)
    return torch.nn.functional.conv1d(visible.float()[:, None], influence[None, None], padding=reach)[:, 0]


@dataclass(frozen=True)
class Corruption:
    """Which response positions are masked, how likely that was, and how much each masked one counts.

    `masked` is bool [batch, length], `probability` t_i [batch, length]; `weight` is [masked positions], in row-major
    order of `masked`.
    """

    masked: Tensor
    probability: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Noised:
    """What a weight may depend on. All are [batch, length]; `visible` are the positions whose token can be seen."""

    t: Tensor
    relative: Tensor
    masked: Tensor
    visible: Tensor
    weighting: Weighting


def masked_by_rate(t: Tensor, relative: Tensor) -> Tensor:
    """GIFT: each token at its own probability t_i."""
    return masking_probability(t, relative)


def masked_alike(t: Tensor, _relative: Tensor) -> Tensor:
    """Every token with probability t, whatever its rate."""
    return t


def weighed_by_probability(noised: Noised) -> Tensor:
    """The weighting of the spec: 1/t_i, or its `elbo`."""
    return token_weight(noised.t[noised.masked], noised.relative[noised.masked], noised.weighting)


def weighed_by_rate(noised: Noised) -> Tensor:
    """r_i / t: the rates weigh the loss and leave the masking alone."""
    return noised.relative[noised.masked] / noised.t[noised.masked]


def weighed_by_context(noised: Noised) -> Tensor:
    """CART in the place of 1/t."""
    return context_weight(noised.visible)[noised.masked]


@dataclass(frozen=True)
class Recipe:
    """The functions a method is made of: what the probe measures, who is masked, what a masked token counts."""

    score: Score | None = None
    shuffled: bool = False
    probability: Callable[[Tensor, Tensor], Tensor] = masked_by_rate
    weight: Callable[[Noised], Tensor] = weighed_by_probability


RECIPES: Mapping[Method, Recipe] = MappingProxyType(
    {
        "sft": Recipe(),
        "gift": Recipe("entropy"),
        "shuffled": Recipe("entropy", shuffled=True),
        "nll": Recipe("nll"),
        "simple": Recipe("entropy", probability=masked_alike, weight=weighed_by_rate),
        "cart": Recipe(probability=masked_alike, weight=weighed_by_context),
    }
)


def rates(objective: ObjectiveSpec, score: Tensor | None, response_mask: Tensor, reference: Tensor | None) -> Tensor:
    """r_i, [batch, length], from the probe's `score` [batch, length]; 1 for all where a method has no probe.

    `reference` is beta_ref [batch, 1] where it is known already, as the mean over a batch that is more than these rows.
    """
    if score is None:
        return response_mask.float()
    beta = masking_rate(score, objective.power)
    if reference is None:
        reference = reference_rate(beta, response_mask, objective.reference)
    relative = relative_rate(beta, response_mask, reference)
    return bounded_rate(relative, response_mask, objective.rate_floor, objective.rate_ceiling)


def corrupt(
    objective: ObjectiveSpec, relative: Tensor, t: Tensor, u: Tensor, response_mask: Tensor, attention_mask: Tensor
) -> Corruption:
    """Mask position i iff u_i < t_i, and weigh it: times [batch], all else [batch, length]."""
    recipe = RECIPES[objective.method]
    times = t[:, None].expand_as(relative)
    probability = recipe.probability(times, relative) * response_mask
    masked = u < probability
    visible = attention_mask.bool() & ~masked
    noised = Noised(times, relative, masked, visible, objective.weighting)
    return Corruption(masked, probability, recipe.weight(noised))


def share_of_sequence(corruption: Corruption, response_mask: Tensor) -> Tensor:
    """Weights for the `sequence` normaliser: w_i divided by the response length of its row, [masked positions].

    Their sum over the batch divided by the number of sequences is the mean of per-sequence means (LLaDA's recipe).
    """
    lengths = response_mask.sum(1, keepdim=True).clamp_min(1).expand_as(corruption.masked)
    return corruption.weight / lengths[corruption.masked]
