"""How often a token is masked in training, what it weighs when it is, and the product: at one t, and over all t.

The product is what a token counts on average. With `inverse` it is 1 for every token at every t, as under SFT. With
`elbo` it is F_i'(t) = r_i (1-t)**(r_i-1): the rate moves a token's weight over t, and over all t it is 1 again, but for
what lies below the least t. All of it is fp64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gift_core.noise import MINIMUM_TIME
from gift_core.objectives import masking_probability, token_weight
from gift_core.spec import Weighting


@dataclass(frozen=True)
class Masking:
    """Per token [response]: `frequency` of being masked, `weight` when masked, and their `product`.

    A token with r_i = 0 is never masked: its weight is inf, and its product 0.
    """

    frequency: Tensor
    weight: Tensor
    product: Tensor


def masking_at(t: float, relative: Tensor, weighting: Weighting) -> Masking:
    """t_i, w_i and t_i w_i at diffusion time t in (0, 1), of relative rates [response]."""
    relative = relative.double()
    time = torch.full_like(relative, t)
    frequency = masking_probability(time, relative)
    weight = torch.where(relative > 0, token_weight(time, relative, weighting), math.inf)
    return Masking(frequency, weight, torch.where(relative > 0, frequency * weight, 0.0))


def masking_over_time(relative: Tensor, weighting: Weighting, least: float = MINIMUM_TIME) -> Masking:
    """E t_i, E t_i w_i, and as weight the mean w_i of the times a token is masked; t is uniform on (`least`, 1).

    In closed form: E t_i = 1 - (1-least)**r_i / (r_i+1), and E t_i w_i is 1 for `inverse` and (1-least)**(r_i-1) for
    `elbo`, the integral of F_i' over (least, 1) divided by its length.
    """
    relative = relative.double()
    log_rest = math.log1p(-least)
    # r - ((1-least)**r - 1) for r + 1 - (1-least)**r: exact for small rates too.
    frequency = (relative - torch.expm1(relative * log_rest)) / (relative + 1)
    product = torch.ones_like(relative) if weighting == "inverse" else torch.exp((relative - 1) * log_rest)
    product = torch.where(relative > 0, product, 0.0)
    return Masking(frequency, torch.where(relative > 0, product / frequency, math.inf), product)
