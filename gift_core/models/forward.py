"""Forward passes that compute no logit that no one reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from gift_core.errors import ModelError

T = TypeVar("T")


def read_head(
    network: nn.Module,
    input_ids: Tensor,
    attention_mask: Tensor | None,
    positions: Tensor,
    read: Callable[[Tensor, nn.Module], T],
    logit_shift: int = 0,
    **inputs: Any,
) -> T:
    """Run `network` and return what `read(hidden [n, width], head)` makes of the hidden states at `positions`.

    `positions` are [n] indices into the flattened [batch, length]. `logit_shift` is 1 where position i is read from
    logits[i-1] (Dream), else 0; positions then may not be the first of a row. `inputs` go to the network as they are.

    `read` runs inside the model's own forward, in the place of the head's: so it holds under LoRA, gradient
    checkpointing and tied heads, DDP sees its parameters used, and FSDP has gathered the head's weight.
    """
    inner: Any = getattr(network, "module", network)
    head: nn.Module = inner.get_output_embeddings()
    found: list[Any] = []

    def forward(hidden: Tensor) -> T:
        # Of a model that is spread over several devices, the head may be on another than its input.
        found.append(read(hidden.flatten(0, 1)[positions.to(hidden.device) - logit_shift], head))
        return found[0]

    with _replaced_forward(head, forward):
        given = {"use_cache": False} | inputs
        returned = network(input_ids=input_ids, attention_mask=attention_mask, **given).logits
    return _as_read(found[0], returned)


def _as_read(read: Any, returned: Any) -> Any:
    """What was read, but still tied to what the network returned: FSDP's hooks are there, and its mixed precision
    rounds what it returns to bf16."""
    if isinstance(read, tuple):
        return tuple(map(_as_read, read, returned))
    if read.dtype == returned.dtype:
        return returned
    return returned.to(read.dtype) + (read - returned).detach() if returned.requires_grad else read


def logits_at(
    network: nn.Module, input_ids: Tensor, attention_mask: Tensor | None, positions: Tensor, logit_shift: int = 0
) -> Tensor:
    """Logits at the True cells of `positions` [batch, length], in row-major order: [n, vocabulary]."""
    inner: Any = getattr(network, "module", network)
    project = inner.get_output_embeddings().forward
    chosen = positions.flatten().nonzero()[:, 0]
    return read_head(network, input_ids, attention_mask, chosen, lambda hidden, _: project(hidden), logit_shift)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Without dropout; afterwards `network` is in the mode in which it was."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)


@torch.no_grad()
def check_head(network: nn.Module, name: str) -> None:
    """Raise `ModelError` unless the logits of `network` are what its output embeddings make of hidden states.

    That is what `read_head` relies on; some architectures change the logits afterwards, or compute them without.
    """
    inner: Any = network
    head = inner.get_output_embeddings()
    made: list[Tensor] = []
    if isinstance(head, nn.Linear):
        hook = head.register_forward_hook(lambda _module, _inputs, logits: made.append(logits))
        logits = network(input_ids=torch.zeros(1, 2, dtype=torch.long, device=inner.device)).logits
        hook.remove()
        if made and torch.equal(made[0], logits):
            return
    raise ModelError(
        f"{name} is a {inner.config.model_type} model, whose logits do not come from its output projection alone.",
        field="model.name",
        remedy="Choose another masked language model, BERT, ModernBERT or EuroBERT for instance.",
    )


@contextmanager
def _replaced_forward(head: nn.Module, forward: Callable[[Tensor], Any]) -> Iterator[None]:
    # accelerate too keeps a forward of its own on an instance: what was there comes back.
    before = head.__dict__.get("forward")
    head.forward = forward
    try:
        yield
    finally:
        if before is None:
            del head.forward
        else:
            head.forward = before
