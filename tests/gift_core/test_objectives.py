from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gift_core.noise import evaluation_noise, training_noise
from gift_core.objectives import (
    corrupt,
    cross_entropy,
    entropy,
    masking_probability,
    masking_rate,
    rates,
    reduce_loss,
    relative_rate,
    token_weight,
)
from gift_core.spec import ObjectiveSpec

RESPONSE = torch.tensor([[False, True, True, True, False], [False, False, True, True, True]])


def test_entropy_of_a_uniform_and_of_a_certain_prediction() -> None:
    certain = torch.full((1, 8), -60.0)
    certain[0, 3] = 60.0
    assert entropy(torch.zeros(1, 8)).item() == pytest.approx(math.log(8))
    assert 0 <= entropy(certain).item() < 1e-30


def test_entropy_is_computed_in_fp32_even_for_bf16_logits_of_a_large_vocabulary() -> None:
    logits = torch.randn(3, 126_464, generator=torch.Generator().manual_seed(0)).bfloat16()
    exact = torch.distributions.Categorical(logits=logits.double()).entropy()
    torch.testing.assert_close(entropy(logits).double(), exact, rtol=1e-5, atol=0)


def test_entropy_in_chunks_equals_entropy_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.randn(7, 11, generator=torch.Generator().manual_seed(0))
    whole = entropy(logits)
    monkeypatch.setattr("gift_core.objectives._CHUNK_ELEMENTS", 22)
    assert torch.equal(entropy(logits), whole)


def test_scaling_all_entropies_changes_no_relative_rate() -> None:
    beta = torch.rand(2, 5, generator=torch.Generator().manual_seed(1)) + 0.1
    once, _ = relative_rate(beta, RESPONSE, "sequence")
    scaled, _ = relative_rate(beta * 4, RESPONSE, "sequence")
    assert torch.equal(once, scaled)
    assert torch.allclose(once.sum(1), RESPONSE.sum(1).float()), "the mean relative rate of a sequence is 1"


def test_the_batch_reference_is_one_number_for_all_sequences_and_a_number_is_itself() -> None:
    beta = torch.rand(2, 5, generator=torch.Generator().manual_seed(1)) + 0.1
    _, reference = relative_rate(beta, RESPONSE, "batch")
    assert reference[0] == reference[1] == pytest.approx(beta[RESPONSE].mean().item())
    relative, _ = relative_rate(beta, RESPONSE, 0.5)
    torch.testing.assert_close(relative[RESPONSE], beta[RESPONSE] / 0.5)


@pytest.mark.parametrize("height", [0.0, 0.1, 1 / 3, 2.718281828])
@pytest.mark.parametrize("weighting", ["inverse", "elbo"])
def test_equal_entropies_make_gift_sft_bit_for_bit(height: float, weighting: str) -> None:
    gift = ObjectiveSpec(method="gift", weighting=weighting)
    sft = ObjectiveSpec(method="sft", weighting=weighting)
    t, u = torch.tensor([0.3, 0.8]), torch.rand(2, 5, generator=torch.Generator().manual_seed(2))
    one = corrupt(rates(gift, torch.full((2, 5), height), RESPONSE), t, u, weighting)
    other = corrupt(rates(sft, None, RESPONSE), t, u, weighting)
    assert torch.equal(one.masked, other.masked)
    assert torch.equal(one.weight, other.weight)


def test_prompt_and_padding_are_never_masked() -> None:
    relative = rates(ObjectiveSpec(), torch.rand(2, 5), RESPONSE)
    corruption = corrupt(relative, torch.tensor([0.999, 0.999]), torch.full((2, 5), 2**-25), "inverse")
    assert not corruption.masked[~RESPONSE].any()


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


def test_tokens_are_masked_as_often_as_their_probability_says() -> None:
    relative = torch.tensor([0.2, 0.7, 1.0, 2.1])
    draws = 20_000
    noise = [training_noise(seed=1, example=i, epoch=0, length=4) for i in range(draws)]
    u = torch.tensor([values.tolist() for _, values in noise])
    times = torch.full((draws,), 0.4)
    frequency = corrupt(relative.expand(draws, 4), times, u, "inverse").masked.float().mean(0)
    expected = masking_probability(torch.tensor(0.4), relative)
    error = (expected * (1 - expected) / draws).sqrt()
    assert ((frequency - expected).abs() < 4 * error).all()


def test_a_token_without_entropy_is_never_masked_and_everything_stays_finite() -> None:
    uncertainty = torch.tensor([[0.0, 0.0, 1.3, 0.7, 0.0], [0.0, 0.0, 0.0, 0.2, 0.9]])
    relative = rates(ObjectiveSpec(weighting="elbo"), uncertainty, RESPONSE)
    corruption = corrupt(relative, torch.tensor([0.999, 0.999]), torch.full((2, 5), 0.5), "elbo")
    assert not corruption.masked[0, 1]
    assert not corruption.masked[1, 2]
    assert corruption.weight.isfinite().all()


def test_an_empty_mask_gives_zero_loss_and_zero_gradient() -> None:
    logits = torch.randn(2, 5, 7, requires_grad=True)
    corruption = corrupt(
        rates(ObjectiveSpec(method="sft"), None, RESPONSE), torch.full((2,), 0.5), torch.ones(2, 5), "inverse"
    )
    targets = torch.zeros(2, 5, dtype=torch.long)[corruption.masked]
    loss = reduce_loss(cross_entropy(logits[corruption.masked], targets), corruption, RESPONSE, "token", 6)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def test_loss_and_gradient_equal_the_definition_in_fp64() -> None:
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(2, 5, 7, generator=generator, requires_grad=True)
    targets = torch.randint(0, 7, (2, 5), generator=generator)
    uncertainty = torch.rand(2, 5, generator=generator)
    t, u = torch.tensor([0.4, 0.7]), torch.rand(2, 5, generator=generator)
    corruption = corrupt(rates(ObjectiveSpec(), uncertainty, RESPONSE), t, u, "inverse")
    masked = corruption.masked
    reduce_loss(cross_entropy(logits[masked], targets[masked]), corruption, RESPONSE, "token", 6).backward()

    exact_logits = logits.detach().double().requires_grad_()
    total = torch.zeros((), dtype=torch.float64)
    for row in range(2):
        reference = (uncertainty[row].double().sqrt() * RESPONSE[row]).sum() / RESPONSE[row].sum()
        for i in range(5):
            t_i = 1 - (1 - t[row].double()) ** (uncertainty[row, i].double().sqrt() / reference)
            if RESPONSE[row, i] and u[row, i] < t_i:
                total = total - exact_logits[row, i].log_softmax(-1)[targets[row, i]] / t_i
    (total / 6).backward()
    assert logits.grad is not None
    assert exact_logits.grad is not None
    torch.testing.assert_close(logits.grad.double(), exact_logits.grad, rtol=1e-4, atol=1e-6)


def test_the_sequence_normaliser_is_the_mean_of_per_sequence_means() -> None:
    corruption = corrupt(
        rates(ObjectiveSpec(method="sft"), None, RESPONSE), torch.tensor([0.5, 0.5]), torch.zeros(2, 5), "inverse"
    )
    loss = reduce_loss(torch.tensor([1.0, 1.0, 1.0, 4.0, 4.0, 4.0]), corruption, RESPONSE, "sequence", 2)
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
