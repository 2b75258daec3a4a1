"""Forward passes that compute no logit that no one reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def _reads_only(head: nn.Module, positions: Tensor) -> Iterator[None]:
    """While inside, the output projection sees `positions` only: hidden [batch, length, d] -> [n, d]."""

    def select(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0][positions], *inputs[1:])

    handle = head.register_forward_pre_hook(select)
    try:
        yield
    finally:
        handle.remove()


def logits_at(network: nn.Module, input_ids: Tensor, attention_mask: Tensor | None, positions: Tensor) -> Tensor:
    """Logits at the True cells of `positions` [batch, length], in row-major order: [n, vocabulary].

    The selection happens in front of the output projection, inside the model's own forward: it holds under LoRA,
    gradient checkpointing and data-parallel wrappers, and costs n rows of the head instead of batch * length.
    """
    inner: Any = network.module if isinstance(network, nn.parallel.DistributedDataParallel) else network
    with _reads_only(inner.get_output_embeddings(), positions):
        return network(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits
