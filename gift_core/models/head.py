"""What is read from the output projection, without ever holding all of its logits.

LLaDA's head has 126,464 rows: logits for one batch, their fp32 copy and their gradient are gigabytes that are written
once and read once. Here a chunk of rows goes through the head, is reduced to what is wanted while it is in the cache,
and is forgotten. The cross-entropy forms its gradient in the same visit, so the backward pass has nothing left to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

# Logits alive at once: 2**24 of them are 64 MiB in fp32.
CHUNK_LOGITS = 2**24
# Logits reduced at once, in fp32: 2**20 are 4 MiB, which a core's cache holds. A GPU wants fewer, larger launches.
_CACHED_LOGITS = 2**20


def entropy(logits: Tensor) -> Tensor:
    """Entropy of softmax(logits) in nats, accumulated in fp32: [n, vocabulary] -> [n]."""
    parts = [_entropy_and_normaliser(part)[0] for part in logits.split(_cached_rows(logits))]
    return torch.cat(parts) if parts else logits.new_zeros(0, dtype=torch.float32)


def probe_scores(hidden: Tensor, head: nn.Module, targets: Tensor, *, chunk: int = CHUNK_LOGITS) -> Tensor:
    """Entropy H_i and -log p of the true token, in nats: hidden [n, width], targets [n] -> fp32 [2, n]. No gradient."""
    scores = torch.empty(2, len(hidden), dtype=torch.float32, device=hidden.device)
    weight, bias, hidden = _in_product_dtype(*_parameters(head), hidden)
    with torch.no_grad(), torch.autocast(hidden.device.type, enabled=False):
        for rows, logits in _chunks(hidden, weight, bias, chunk):
            for part in _parts(rows, logits):
                here = logits[part.start - rows.start : part.stop - rows.start]
                scores[0, part], normaliser = _entropy_and_normaliser(here)
                scores[1, part] = normaliser - _at(here, targets[part])
    return scores


def logit_chunks(
    hidden: Tensor, head: nn.Module, other: Tensor | None = None, guidance: float = 0.0
) -> Iterator[tuple[slice, Tensor]]:
    """Rows of `hidden` [n, width] and their logits in fp32, to be read or overwritten before the next are asked for.

    With `other` [n, width], classifier-free guidance: logits of `other` plus 1 + `guidance` times the difference.
    """
    weight, bias, hidden = _in_product_dtype(*_parameters(head), hidden)
    unguided = None if other is None else _chunks(other.to(hidden), weight, bias, CHUNK_LOGITS)
    for rows, logits in _chunks(hidden, weight, bias, CHUNK_LOGITS):
        base = None if unguided is None else next(unguided)[1]
        for part in _parts(rows, logits):
            here = slice(part.start - rows.start, part.stop - rows.start)
            z = logits[here].float()
            yield part, z if base is None else torch.lerp(base[here].float(), z, 1 + guidance)


def weighted_cross_entropy(
    hidden: Tensor, head: nn.Module, targets: Tensor, weights: Tensor, *, chunk: int = CHUNK_LOGITS
) -> tuple[Tensor, Tensor]:
    """sum_i weights_i CE_i and, without gradient, CE_i in nats: hidden [n, width], targets, weights [n] -> [], [n].

    The loss differentiates with respect to `hidden` and the head's weight and bias. No rows give a loss of 0 that
    still belongs to the graph.
    """
    weight, bias = _parameters(head)
    if not torch.is_grad_enabled():
        # An autograd function is asked for gradients whether anybody wants them or not.
        weight, bias = weight.detach(), None if bias is None else bias.detach()
    found: tuple[Tensor, Tensor] = _WeightedCrossEntropy.apply(hidden, weight, bias, targets, weights, chunk)  # type: ignore[no-untyped-call]
    return found


class _WeightedCrossEntropy(torch.autograd.Function):
    """Loss and gradients in one pass over the chunks: d loss / d logits is known as soon as the logits are."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, weights: Tensor, chunk: int
    ) -> tuple[Tensor, Tensor]:
        to_hidden, to_weight, to_bias = ctx.needs_input_grad[:3]
        ctx.dtypes = hidden.dtype, weight.dtype, None if bias is None else bias.dtype
        # Cast in here, so that the gradient of an fp32 weight is never rounded to bf16 on its way out.
        weight, bias, hidden = _in_product_dtype(weight, bias, hidden)
        losses = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        hidden_gradient = torch.empty_like(hidden) if to_hidden else None
        # bf16 would lose small contributions when many chunks are added up.
        weight_gradient = torch.zeros_like(weight, dtype=torch.float32) if to_weight else None
        bias_gradient = torch.zeros_like(bias, dtype=torch.float32) if bias is not None and to_bias else None
        with torch.autocast(hidden.device.type, enabled=False):
            for rows, logits in _chunks(hidden, weight, bias, chunk):
                for part in _parts(rows, logits):
                    here = logits[part.start - rows.start : part.stop - rows.start]
                    losses[part] = _cross_entropy_to_gradient(here, targets[part], weights[part])
                # From here on `logits` holds d loss / d logits.
                if hidden_gradient is not None:
                    torch.mm(logits, weight, out=hidden_gradient[rows])
                if weight_gradient is not None:
                    _add_product(weight_gradient, logits, hidden[rows])
                if bias_gradient is not None:
                    bias_gradient += logits.sum(0, dtype=torch.float32)
        ctx.gradients = hidden_gradient, weight_gradient, bias_gradient
        ctx.mark_non_differentiable(losses)
        return (losses * weights).sum(), losses

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        # Scaled where they lie: a copy of the head's gradient would be the largest tensor of the step.
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            raise RuntimeError("this loss was differentiated already; its gradients are formed once")
        scaled = [
            None if part is None else part.mul_(upstream.to(part.dtype)).to(dtype)
            for part, dtype in zip(gradients, ctx.dtypes, strict=True)
        ]
        return (*scaled, None, None, None)


def working_bytes(rows: int, vocabulary: int, width: int, compute: int, *, weight: int = 4, device: str = "cpu") -> int:
    """Bytes that the head holds at most while it reads `rows` positions, apart from its weight and that one's gradient.

    `compute` and `weight` are bytes per number: of the products, and of the weight as it lies.
    """
    logits = min(rows, max(1, CHUNK_LOGITS // vocabulary)) * vocabulary
    pieces = min(logits, _cached_logits(device)) * 4 * (1 if compute == 4 else 2)
    copy = vocabulary * width * compute if compute != weight else 0
    # Hidden states as they come, in the dtype of the product, and their gradient.
    hidden = rows * width * (4 + 2 * compute)
    return logits * compute + pieces + copy + hidden


def _parameters(head: nn.Module) -> tuple[Tensor, Tensor | None]:
    weight, bias = head.weight, getattr(head, "bias", None)
    assert isinstance(weight, Tensor)
    return weight, bias


def _in_product_dtype(weight: Tensor, bias: Tensor | None, hidden: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
    """Weight, bias and hidden states in the dtype in which the head multiplies: autocast's, where that is on."""
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    return weight.to(dtype), None if bias is None else bias.to(dtype), hidden.to(dtype)


def _chunks(hidden: Tensor, weight: Tensor, bias: Tensor | None, chunk: int) -> Iterator[tuple[slice, Tensor]]:
    """Rows and their logits, at most `chunk` logits at a time, always in the same buffer."""
    size = max(1, chunk // len(weight))
    buffer = torch.empty(min(size, len(hidden)), len(weight), dtype=hidden.dtype, device=hidden.device)
    for start in range(0, len(hidden), size):
        rows = slice(start, min(start + size, len(hidden)))
        logits = torch.mm(hidden[rows], weight.t(), out=buffer[: rows.stop - start])
        if bias is not None:
            logits += bias
        yield rows, logits


def _parts(rows: slice, logits: Tensor) -> Iterator[slice]:
    """`rows` in pieces that are reduced at once."""
    size = _cached_rows(logits)
    for start in range(rows.start, rows.stop, size):
        yield slice(start, min(start + size, rows.stop))


def _cached_rows(logits: Tensor) -> int:
    return max(1, _cached_logits(logits.device.type) // logits.shape[-1])


def _cached_logits(device: str) -> int:
    return _CACHED_LOGITS if device == "cpu" else CHUNK_LOGITS


def _entropy_and_normaliser(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Entropy and log sum exp of each row, in fp32.

    With z shifted so that its largest is 0, H = log S - sum(e^z z) / S: one exponential for both.
    """
    z = logits.float()
    largest = z.amax(-1, keepdim=True)
    # `float` of an fp32 tensor is the tensor itself: subtracting in place would write to the caller's logits.
    z = z - largest
    exponential = z.exp()
    total = exponential.sum(-1)
    log_total = total.log()
    weighted = exponential.mul_(z).sum(-1)
    # Rounding may leave a near-certain row a hair below zero, and a negative number has no square root.
    return (log_total - weighted / total).clamp_min_(0.0), log_total + largest[:, 0]


def _cross_entropy_to_gradient(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """CE_i in fp32, [n]; `logits` [n, vocabulary] become weights_i (softmax - one-hot), the gradient of the loss."""
    z = logits.float()
    log_p = torch.log_softmax(z, -1)
    losses = -_at(log_p, targets)
    gradient = log_p.exp_()
    gradient.scatter_add_(1, targets[:, None], gradient.new_full((len(targets), 1), -1.0))
    torch.mul(gradient, weights[:, None], out=gradient)
    logits.copy_(gradient)
    return losses


def _add_product(total: Tensor, gradient: Tensor, hidden: Tensor) -> None:
    """total += gradient^T hidden, accumulated in fp32."""
    if gradient.dtype == total.dtype:
        total.addmm_(gradient.t(), hidden)
        return
    # In pieces: the whole product is as large as the head, and would be written, read and thrown away for every chunk.
    for part in _parts(slice(0, len(total)), total):
        total[part] += gradient[:, part].t() @ hidden


def _at(values: Tensor, targets: Tensor) -> Tensor:
    return values.gather(1, targets[:, None])[:, 0].float()
