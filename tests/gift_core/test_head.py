"""The head in chunks: the same losses, entropies and gradients as with all logits at once."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from gift_core.models.head import entropy, probe_scores, weighted_cross_entropy


def make_head(vocabulary: int, width: int = 8, *, bias: bool = False) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(width, vocabulary, bias=bias)


def inputs(rows: int, vocabulary: int, width: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(rows, width, generator=generator)
    targets = torch.randint(0, vocabulary, (rows,), generator=generator)
    return hidden, targets, torch.rand(rows, generator=generator) + 0.1


def naive(hidden: Tensor, head: nn.Linear, targets: Tensor, weights: Tensor) -> tuple[float, Tensor, Tensor]:
    """Loss and gradients for hidden states and weight, all logits at once in fp64."""
    hidden, weight = hidden.double().detach().requires_grad_(), head.weight.double().detach().requires_grad_()
    bias = None if head.bias is None else head.bias.double().detach()
    logits = nn.functional.linear(hidden, weight, bias)
    losses = nn.functional.cross_entropy(logits, targets, reduction="none")
    loss = (losses * weights.double()).sum()
    loss.backward()
    assert hidden.grad is not None
    assert weight.grad is not None
    return loss.item(), hidden.grad, weight.grad


@pytest.mark.parametrize("vocabulary", [11, 126_464])
@pytest.mark.parametrize("bias", [False, True])
def test_loss_and_gradients_equal_the_naive_ones_in_fp64(vocabulary: int, bias: bool) -> None:
    head = make_head(vocabulary, bias=bias)
    hidden, targets, weights = inputs(7, vocabulary)
    hidden.requires_grad_()
    loss, losses = weighted_cross_entropy(hidden, head, targets, weights, chunk=3 * vocabulary)
    (2 * loss).backward()
    exact, hidden_gradient, weight_gradient = naive(hidden, head, targets, weights)
    assert loss.item() == pytest.approx(exact, rel=1e-6)
    assert (losses.double() * weights.double()).sum().item() == pytest.approx(exact, rel=1e-6)
    assert hidden.grad is not None
    assert head.weight.grad is not None
    torch.testing.assert_close(hidden.grad.double(), 2 * hidden_gradient, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(head.weight.grad.double(), 2 * weight_gradient, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("chunk", [1, 11, 30, 1000])
def test_the_chunk_size_changes_nothing(chunk: int) -> None:
    head = make_head(11)
    hidden, targets, weights = inputs(7, 11)
    found = []
    for size in (10_000, chunk):
        start = hidden.clone().requires_grad_()
        head.weight.grad = None
        loss, losses = weighted_cross_entropy(start, head, targets, weights, chunk=size)
        loss.backward()
        found.append((loss, losses, start.grad, head.weight.grad, probe_scores(hidden, head, targets, chunk=size)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_no_rows_give_a_zero_loss_that_still_reaches_every_weight() -> None:
    head = make_head(11, bias=True)
    hidden, targets, weights = inputs(0, 11)
    hidden.requires_grad_()
    loss, losses = weighted_cross_entropy(hidden, head, targets, weights)
    loss.backward()
    assert loss.item() == 0
    assert len(losses) == 0
    assert head.weight.grad is not None
    assert not head.weight.grad.any()
    assert probe_scores(hidden, head, targets).shape == (2, 0)


def test_a_frozen_head_gets_no_gradient_and_passes_one_on() -> None:
    head = make_head(11).requires_grad_(False)
    hidden, targets, weights = inputs(5, 11)
    hidden.requires_grad_()
    weighted_cross_entropy(hidden, head, targets, weights)[0].backward()
    _, expected, _ = naive(hidden, head, targets, weights)
    assert head.weight.grad is None
    assert hidden.grad is not None
    torch.testing.assert_close(hidden.grad.double(), expected, rtol=1e-4, atol=1e-7)


def test_without_gradients_none_are_formed() -> None:
    head = make_head(11)
    hidden, targets, weights = inputs(5, 11)
    with torch.no_grad():
        loss, _ = weighted_cross_entropy(hidden, head, targets, weights)
    assert not loss.requires_grad
    assert head.weight.grad is None


def test_gradients_are_formed_once() -> None:
    head = make_head(11)
    hidden, targets, weights = inputs(3, 11)
    loss, _ = weighted_cross_entropy(hidden.requires_grad_(), head, targets, weights)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="differentiated already"):
        loss.backward()


def test_bf16_logits_with_a_margin_of_60_stay_finite() -> None:
    head = make_head(126_464).bfloat16()
    with torch.no_grad():
        head.weight.zero_()
        head.weight[5] = 7.5
    hidden = torch.ones(2, 8, dtype=torch.bfloat16, requires_grad=True)
    targets, weights = torch.tensor([5, 6]), torch.ones(2)
    loss, losses = weighted_cross_entropy(hidden, head, targets, weights)
    loss.backward()
    scores = probe_scores(hidden, head, targets)
    assert losses.tolist() == pytest.approx([0.0, 60.0], abs=1e-5)
    assert scores[1].tolist() == pytest.approx([0.0, 60.0], abs=1e-5)
    assert ((scores[0] >= 0) & (scores[0] < 1e-15)).all()
    _, hidden_gradient, weight_gradient = naive(hidden, head, targets, weights)
    assert hidden.grad is not None
    torch.testing.assert_close(hidden.grad.double(), hidden_gradient, rtol=1e-2, atol=1e-3)
    assert head.weight.grad is not None
    assert head.weight.grad.dtype is torch.bfloat16
    torch.testing.assert_close(head.weight.grad.double(), weight_gradient, rtol=1e-2, atol=1e-3)


def test_under_autocast_it_multiplies_in_bf16_and_sums_in_fp32() -> None:
    head = make_head(11)
    hidden, targets, weights = inputs(5, 11)
    hidden.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = weighted_cross_entropy(hidden, head, targets, weights, chunk=2 * 11)
        scores = probe_scores(hidden, head, targets)
    loss.backward()
    exact, hidden_gradient, weight_gradient = naive(hidden, head, targets, weights)
    assert loss.dtype is torch.float32
    assert loss.item() == pytest.approx(exact, rel=1e-2)
    assert head.weight.grad is not None
    assert head.weight.grad.dtype is torch.float32
    torch.testing.assert_close(head.weight.grad.double(), weight_gradient, rtol=0, atol=0.02)
    assert not torch.equal(head.weight.grad, head.weight.grad.bfloat16().float()), "fp32 sums are not rounded after"
    assert hidden.grad is not None
    torch.testing.assert_close(hidden.grad.double(), hidden_gradient, rtol=0, atol=0.02)
    torch.testing.assert_close(scores, probe_scores(hidden, head, targets), rtol=0.05, atol=0.02)


def test_entropy_of_a_uniform_and_of_a_certain_prediction() -> None:
    certain = torch.full((1, 8), -60.0)
    certain[0, 3] = 60.0
    assert entropy(torch.zeros(1, 8)).item() == pytest.approx(math.log(8))
    assert 0 <= entropy(certain).item() < 1e-30
    impossible = torch.tensor([[0.0, -torch.inf, -torch.inf]]).clamp_min(torch.finfo(torch.float32).min)
    assert entropy(impossible).item() == 0


def test_entropy_is_computed_in_fp32_even_for_bf16_logits_of_a_large_vocabulary() -> None:
    logits = torch.randn(3, 126_464, generator=torch.Generator().manual_seed(0)).bfloat16()
    before = logits.clone()
    exact = torch.distributions.Categorical(logits=logits.double()).entropy()
    torch.testing.assert_close(entropy(logits).double(), exact, rtol=1e-5, atol=0)
    assert torch.equal(logits, before), "what it is given stays as it is"


def test_probe_scores_are_entropy_and_nll_of_the_softmax() -> None:
    head = make_head(50)
    hidden, targets, _ = inputs(9, 50)
    log_p = head(hidden).double().log_softmax(-1)
    scores = probe_scores(hidden, head, targets, chunk=120)
    torch.testing.assert_close(scores[0].double(), -(log_p.exp() * log_p).sum(-1), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(scores[1].double(), -log_p.gather(1, targets[:, None])[:, 0], rtol=1e-5, atol=1e-6)
