"""What the two weightings are: `elbo` is the negative log-likelihood for any rates, `inverse` is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gift_core.objectives import masking_probability, token_weight
from gift_core.spec import Weighting
from tests.gift_core.tabular import Joint

TOKENS, SYMBOLS = 4, 3


def integrated_loss(joint: Joint, text: tuple[int, ...], rates: np.ndarray, weighting: Weighting) -> float:
    """The loss of one text with the true conditionals as predictor: summed over all masks, integrated over t.

    Gauss-Legendre over y with 1 - t = y**6: the substitution takes the roots out of (1-t)**r for the rates tested. Much
    smaller rates would need times closer to 1 than fp64 knows.
    """
    nodes, weights = np.polynomial.legendre.leggauss(200)
    y, dy = (nodes + 1) / 2, weights / 2
    # Below 1, as every diffusion time is; what rounds up to it has no mass to speak of.
    t, dt = torch.tensor(np.minimum(1 - y**6, 1 - 2.0**-53)), dy * 6 * y**5
    relative = torch.tensor(rates)
    probability = masking_probability(t[:, None], relative[None]).numpy()
    weight = token_weight(t[:, None], relative[None], weighting).numpy()
    total = np.zeros(len(t))
    for masked in joint.subsets():
        of_mask = np.prod(
            [probability[:, i] if i in masked else 1 - probability[:, i] for i in range(joint.tokens)], axis=0
        )
        for position in masked:
            total += of_mask * weight[:, position] * -np.log(joint.conditional(text, masked, position))
    return float(np.sum(total * dt))


@pytest.mark.parametrize("seed", range(4))
def test_elbo_integrates_to_the_negative_log_likelihood_for_any_rates(seed: int) -> None:
    random = np.random.default_rng(seed)
    joint = Joint(TOKENS, SYMBOLS, random)
    rates = random.uniform(0.5, 2.5, TOKENS)
    for text in joint.texts():
        assert integrated_loss(joint, text, rates, "elbo") == pytest.approx(joint.nll(text), abs=1e-6)


@pytest.mark.parametrize("weighting", ["inverse", "elbo"])
def test_with_equal_rates_both_are_the_negative_log_likelihood(weighting: Weighting) -> None:
    joint = Joint(TOKENS, SYMBOLS, np.random.default_rng(9))
    for text in joint.texts()[::5]:
        assert integrated_loss(joint, text, np.ones(TOKENS), weighting) == pytest.approx(joint.nll(text), abs=1e-6)


def test_inverse_comes_out_below_the_entropy_so_it_is_no_bound() -> None:
    """The case of docs/method.md: rates whose mean is 1, as GIFT's are."""
    joint = Joint(TOKENS, SYMBOLS, np.random.default_rng(0))
    rates = np.array([1.16, 0.64, 0.86, 1.34])
    mass = {text: float(joint.table[text]) for text in joint.texts()}
    entropy = sum(p * joint.nll(text) for text, p in mass.items())
    inverse = sum(p * integrated_loss(joint, text, rates, "inverse") for text, p in mass.items())
    elbo = sum(p * integrated_loss(joint, text, rates, "elbo") for text, p in mass.items())
    assert elbo == pytest.approx(entropy, abs=1e-6)
    assert inverse < entropy - 0.005
