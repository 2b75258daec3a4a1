"""What is read at the head is what the whole model would have said."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertForMaskedLM, LlamaConfig, LlamaForCausalLM

from gift_core.models.forward import logits_at, read_head
from gift_core.models.head import weighted_cross_entropy

VOCABULARY, ROWS, LENGTH = 31, 3, 9


def llama(*, tied: bool = False) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        tie_word_embeddings=tied,
        is_causal=False,
    )
    return LlamaForCausalLM(config).eval()


def bert() -> BertForMaskedLM:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2
    )
    return BertForMaskedLM(config).eval()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Ids and the flat positions to read, none of them the first of a row."""
    ids = torch.randint(0, VOCABULARY, (ROWS, LENGTH), generator=torch.Generator().manual_seed(1))
    chosen = torch.rand(ROWS, LENGTH, generator=torch.Generator().manual_seed(2)) < 0.5
    chosen[:, 0] = False
    return ids, chosen.flatten().nonzero()[:, 0]


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("build", [llama, partial(llama, tied=True), bert], ids=["llama", "tied", "bert"])
def test_loss_and_gradients_are_those_of_the_full_logits(
    build: Callable[[], nn.Module], shift: int, batch: tuple[Tensor, Tensor]
) -> None:
    network = build()
    ids, positions = batch
    targets, weights = ids.flatten()[positions], torch.linspace(0.5, 2, len(positions))
    read = partial(weighted_cross_entropy, targets=targets, weights=weights, chunk=4 * VOCABULARY)
    loss, _ = read_head(network, ids, None, positions, read, shift)
    loss.backward()
    found = {name: part.grad.clone() for name, part in network.named_parameters() if part.grad is not None}

    network.zero_grad()
    # Position i is read from logits[i - shift].
    logits = network(ids).logits.flatten(0, 1)[positions - shift]
    plain = (nn.functional.cross_entropy(logits, targets, reduction="none") * weights).sum()
    plain.backward()
    expected = {name: part.grad.clone() for name, part in network.named_parameters() if part.grad is not None}
    network.zero_grad()
    torch.testing.assert_close(loss, plain)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("shift", [0, 1])
def test_logits_are_those_of_the_positions(shift: int, batch: tuple[Tensor, Tensor]) -> None:
    ids, positions = batch
    network = llama()
    mask = torch.zeros(ROWS * LENGTH, dtype=torch.bool)
    mask[positions] = True
    with torch.no_grad():
        found = logits_at(network, ids, None, mask.view(ROWS, LENGTH), shift)
        torch.testing.assert_close(found, network(ids).logits.flatten(0, 1)[positions - shift])


def test_the_head_is_itself_again_also_after_an_error(batch: tuple[Tensor, Tensor]) -> None:
    ids, positions = batch
    network = llama()
    before = network(ids).logits

    def fail(hidden: Tensor, head: nn.Module) -> Tensor:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        read_head(network, ids, None, positions, fail)
    assert torch.equal(network(ids).logits, before)


def test_what_a_wrapper_rounds_is_given_back_in_full(batch: tuple[Tensor, Tensor]) -> None:
    """FSDP's mixed precision returns bf16: the loss is to be reported, and differentiated, as it was."""
    ids, positions = batch
    network = llama()
    read = partial(weighted_cross_entropy, targets=ids.flatten()[positions], weights=torch.ones(len(positions)))
    exact, losses = read_head(network, ids, None, positions, read)
    exact.backward()
    gradient = network.lm_head.weight.grad.clone()
    network.zero_grad()

    forward = network.forward

    def rounding(*args: object, **kwargs: object) -> object:
        output = forward(*args, **kwargs)
        output.logits = tuple(part.bfloat16() for part in output.logits)
        return output

    network.forward = rounding
    rounded, rounded_losses = read_head(network, ids, None, positions, read)
    rounded.backward()
    assert rounded.item() == exact.item()
    assert torch.equal(rounded_losses, losses)
    assert torch.equal(network.lm_head.weight.grad, gradient)
