from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gift_core.noise import evaluation_noise, training_noise
from gift_core.objectives import (
    RECIPES,
    Corruption,
    bounded_rate,
    context_weight,
    corrupt,
    masking_probability,
    masking_rate,
    mean_rate,
    rate_sums,
    rates,
    reference_rate,
    relative_rate,
    share_of_sequence,
    token_weight,
)
from gift_core.spec import ObjectiveSpec, Weighting

RESPONSE = torch.tensor([[False, True, True, True, False], [False, False, True, True, True]])
# The first row ends with padding.
ATTENDED = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]])


def noised(objective: ObjectiveSpec, score: torch.Tensor | None, t: torch.Tensor, u: torch.Tensor) -> Corruption:
    return corrupt(objective, rates(objective, score, RESPONSE, None), t, u, RESPONSE, ATTENDED)


def relative_to(rate: torch.Tensor, reference: str | float) -> torch.Tensor:
    return relative_rate(rate, RESPONSE, reference_rate(rate, RESPONSE, reference))


def test_scaling_all_entropies_changes_no_relative_rate() -> None:
    beta = torch.rand(2, 5, generator=torch.Generator().manual_seed(1)) + 0.1
    once, scaled = relative_to(beta, "sequence"), relative_to(beta * 4, "sequence")
    assert torch.equal(once, scaled)
    assert torch.allclose(once.sum(1), RESPONSE.sum(1).float()), "the mean relative rate of a sequence is 1"


@pytest.mark.parametrize("method", ["gift", "shuffled", "nll", "simple"])
def test_scaling_all_scores_changes_neither_masks_nor_weights(method: str) -> None:
    objective = ObjectiveSpec(method=method)
    t, u = torch.tensor([0.3, 0.8]), torch.rand(2, 5, generator=torch.Generator().manual_seed(2))
    score = torch.rand(2, 5, generator=torch.Generator().manual_seed(1)) + 0.1
    one, other = noised(objective, score, t, u), noised(objective, 3.7 * score, t, u)
    assert torch.equal(one.masked, other.masked)
    torch.testing.assert_close(one.weight, other.weight)


def test_a_score_that_is_no_number_is_not_taken_for_certainty() -> None:
    relative = rates(ObjectiveSpec(), torch.full((2, 5), torch.nan), RESPONSE, None)
    assert relative[RESPONSE].isnan().all()


def test_the_batch_reference_is_one_number_for_all_sequences_and_a_number_is_itself() -> None:
    beta = torch.rand(2, 5, generator=torch.Generator().manual_seed(1)) + 0.1
    reference = reference_rate(beta, RESPONSE, "batch")
    assert reference[0] == reference[1] == pytest.approx(beta[RESPONSE].mean().item())
    in_pieces = mean_rate(rate_sums(beta[:1], RESPONSE[:1]) + rate_sums(beta[1:], RESPONSE[1:]))
    assert in_pieces.item() == pytest.approx(reference[0].item(), rel=1e-15)
    torch.testing.assert_close(relative_to(beta, 0.5)[RESPONSE], beta[RESPONSE] / 0.5)


@pytest.mark.parametrize("height", [0.0, 0.1, 1 / 3, 2.718281828])
@pytest.mark.parametrize("weighting", ["inverse", "elbo"])
def test_equal_entropies_make_gift_sft_bit_for_bit(height: float, weighting: str) -> None:
    gift = ObjectiveSpec(method="gift", weighting=weighting)
    sft = ObjectiveSpec(method="sft", weighting=weighting)
    t, u = torch.tensor([0.3, 0.8]), torch.rand(2, 5, generator=torch.Generator().manual_seed(2))
    one = noised(gift, torch.full((2, 5), height), t, u)
    other = noised(sft, None, t, u)
    assert torch.equal(one.masked, other.masked)
    assert torch.equal(one.weight, other.weight)


def test_prompt_and_padding_are_never_masked() -> None:
    for method in RECIPES:
        t, u = torch.tensor([0.999, 0.999]), torch.full((2, 5), 2**-25)
        corruption = noised(ObjectiveSpec(method=method), torch.rand(2, 5) + 0.1, t, u)
        assert torch.equal(corruption.masked, RESPONSE), method


@given(t=st.floats(1e-3, 0.999), r=st.floats(1e-6, 30))
@settings(deadline=None)
def test_masking_probability_agrees_with_its_definition_in_fp64(t: float, r: float) -> None:
    found = masking_probability(torch.tensor(t), torch.tensor(r)).item()
    assert found == pytest.approx(-math.expm1(r * math.log1p(-t)), rel=1e-4)
    assert 0 < found <= 1


def test_elbo_weight_is_the_logarithmic_derivative_of_the_masking_probability() -> None:
    t = torch.tensor([0.1, 0.4, 0.9], dtype=torch.float64, requires_grad=True)
    r = torch.tensor([0.3, 1.0, 2.5], dtype=torch.float64)
    (slope,) = torch.autograd.grad(masking_probability(t, r).log().sum(), t)
    torch.testing.assert_close(token_weight(t, r, "elbo").detach(), slope)
    torch.testing.assert_close(token_weight(t, r, "inverse"), 1 / masking_probability(t, r))


def test_both_weightings_are_one_over_t_for_sft() -> None:
    t, r = torch.tensor([0.05, 0.5, 0.95]), torch.ones(3)
    for weighting in ("inverse", "elbo"):
        torch.testing.assert_close(token_weight(t, r, weighting), 1 / t)


@pytest.mark.parametrize("weighting", ["inverse", "elbo"])
def test_masks_weights_and_their_product_come_out_as_the_definition_says(weighting: Weighting) -> None:
    """Every epoch draws t and u anew: over many, each token's share masked, weight and product must fit."""
    draws, length = 40_000, 4
    objective = ObjectiveSpec(weighting=weighting)
    score = torch.tensor([0.04, 0.5, 1.0, 2.9])
    noise = [training_noise(seed=1, example=3, epoch=epoch, length=length) for epoch in range(draws)]
    t = torch.tensor([time for time, _ in noise])
    u = torch.tensor(np.stack([values for _, values in noise]))
    everywhere = torch.ones(draws, length, dtype=torch.bool)
    relative = rates(objective, score.expand(draws, length), everywhere, None)
    corruption = corrupt(objective, relative, t, u, everywhere, everywhere.long())
    weight = torch.zeros(draws, length, dtype=torch.float64)
    weight[corruption.masked] = corruption.weight.double()

    times = t.double()[:, None]
    r = score.sqrt().double() / score.sqrt().double().mean()
    probability = 1 - (1 - times) ** r
    expected = 1 / probability if weighting == "inverse" else r * (1 - times) ** (r - 1) / probability
    for found, wanted in ((corruption.masked.double(), probability), (weight, probability * expected)):
        # Draw by draw, so that the spread of t itself does not blur what is compared.
        difference = found - wanted
        error = difference.std(0) / draws**0.5
        assert (difference.mean(0).abs() < 4 * error).all()
    torch.testing.assert_close(weight[corruption.masked], expected[corruption.masked], rtol=2e-3, atol=0)


def test_a_token_without_entropy_is_never_masked_and_everything_stays_finite() -> None:
    uncertainty = torch.tensor([[0.0, 0.0, 1.3, 0.7, 0.0], [0.0, 0.0, 0.0, 0.2, 0.9]])
    objective = ObjectiveSpec(weighting="elbo")
    corruption = noised(objective, uncertainty, torch.tensor([0.999, 0.999]), torch.full((2, 5), 0.5))
    assert not corruption.masked[0, 1]
    assert not corruption.masked[1, 2]
    assert corruption.weight.isfinite().all()


def test_entropies_of_zero_everywhere_make_gift_sft() -> None:
    t, u = torch.tensor([0.3, 0.8]), torch.rand(2, 5, generator=torch.Generator().manual_seed(2))
    one, other = noised(ObjectiveSpec(), torch.zeros(2, 5), t, u), noised(ObjectiveSpec(method="sft"), None, t, u)
    assert torch.equal(one.masked, other.masked)
    assert torch.equal(one.weight, other.weight)


def test_floor_and_ceiling_bound_the_relative_rate_inside_the_response() -> None:
    bounded = bounded_rate(torch.tensor([[0.0, 0.1, 1.0, 7.0, 0.0]]), RESPONSE[:1], 0.3, 2.0)
    torch.testing.assert_close(bounded, torch.tensor([[0.0, 0.3, 1.0, 2.0, 0.0]]))
    floored = rates(ObjectiveSpec(rate_floor=0.2), torch.tensor([[0.0, 0.0, 1.0, 2.0, 0.0]]), RESPONSE[:1], None)
    assert floored[0, 1] == pytest.approx(0.2), "a certain token is still masked now and then"


def test_simple_masks_like_sft_and_weighs_by_rate_over_t() -> None:
    t, u = torch.tensor([0.3, 0.8]), torch.rand(2, 5, generator=torch.Generator().manual_seed(2))
    score = torch.rand(2, 5) + 0.1
    simple, sft = noised(ObjectiveSpec(method="simple"), score, t, u), noised(ObjectiveSpec(method="sft"), None, t, u)
    relative = rates(ObjectiveSpec(method="simple"), score, RESPONSE, None)
    assert torch.equal(simple.masked, sft.masked)
    torch.testing.assert_close(simple.weight, relative[sft.masked] * sft.weight)


def test_cart_weighs_a_token_by_its_visible_neighbours() -> None:
    visible = torch.tensor([[True, False, False, False, True]])
    weight = context_weight(visible)[0]
    p = 0.1
    assert weight[1].item() == pytest.approx(0.5 * (p + p * 0.9**2))
    assert weight[2].item() == pytest.approx(0.5 * (p * 0.9 + p * 0.9))
    assert weight[0].item() == pytest.approx(0.5 * p * 0.9**3), "a token is not its own neighbour"


def test_cart_does_not_see_padding_and_not_what_is_masked() -> None:
    objective = ObjectiveSpec(method="cart")
    u = torch.tensor([[1.0, 0.1, 0.9, 0.9, 1.0]] * 2)
    corruption = noised(objective, None, torch.tensor([0.5, 0.5]), u)
    assert corruption.masked[0].nonzero()[:, 0].tolist() == [1]
    seen = torch.tensor([[True, False, True, True, False]])
    assert corruption.weight[0].item() == pytest.approx(context_weight(seen)[0, 1].item())


def test_only_the_score_tells_nll_from_gift() -> None:
    gift, nll = RECIPES["gift"], RECIPES["nll"]
    assert (gift.score, nll.score) == ("entropy", "nll")
    assert replace(nll, score="entropy") == gift


def test_the_sequence_normaliser_is_the_mean_of_per_sequence_means() -> None:
    corruption = noised(ObjectiveSpec(method="sft"), None, torch.tensor([0.5, 0.5]), torch.zeros(2, 5))
    losses = torch.tensor([1.0, 1.0, 1.0, 4.0, 4.0, 4.0])
    loss = (share_of_sequence(corruption, RESPONSE) * losses).sum() / 2
    assert loss.item() == pytest.approx((1 / 0.5 + 4 / 0.5) / 2)


def test_masking_rate_is_the_square_root_by_default() -> None:
    assert masking_rate(torch.tensor([4.0]), ObjectiveSpec().power).item() == 2.0


def test_noise_depends_only_on_its_key() -> None:
    t, u = training_noise(seed=3, example=7, epoch=2, length=10)
    again_t, again_u = training_noise(seed=3, example=7, epoch=2, length=10)
    assert t == again_t
    assert (u == again_u).all()
    for other in ((4, 7, 2), (3, 8, 2), (3, 7, 3)):
        assert training_noise(*other, length=10)[0] != t
    assert (u[:4] == training_noise(3, 7, 2, 4)[1]).all(), "a longer tail does not change the draws before it"
    assert (u != evaluation_noise(7, 2, 10)).all()
