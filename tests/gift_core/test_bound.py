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


# The table of docs/method.md: rates whose mean is 1, as GIFT's are, then entropy and `inverse` in nats.
TABLE = [
    (0, (1.16, 0.64, 0.86, 1.34), 3.7086, 3.6941),
    (1, (1.21, 0.55, 1.13, 1.11), 3.5322, 3.5115),
    (2, (0.90, 0.86, 0.80, 1.44), 3.7223, 3.7191),
    (3, (0.69, 0.53, 1.47, 1.31), 3.6809, 3.6668),
]


@pytest.mark.parametrize(("seed", "rates", "entropy", "inverse"), TABLE)
def test_inverse_comes_out_below_the_entropy_so_it_is_no_bound(
    seed: int, rates: tuple[float, ...], entropy: float, inverse: float
) -> None:
    joint = Joint(TOKENS, SYMBOLS, np.random.default_rng(seed))
    mass = {text: float(joint.table[text]) for text in joint.texts()}
    exact = sum(p * joint.nll(text) for text, p in mass.items())
    found: dict[str, float] = {
        weighting: sum(p * integrated_loss(joint, text, np.array(rates), weighting) for text, p in mass.items())
        for weighting in ("inverse", "elbo")
    }
    assert found["elbo"] == pytest.approx(exact, abs=1e-6)
    assert exact == pytest.approx(entropy, abs=1e-4)
    assert found["inverse"] == pytest.approx(inverse, abs=1e-4)
    assert found["inverse"] < exact
