"""How much memory a run needs, phase by phase, and how much it has used."""

from __future__ import annotations

import gc
import resource
import sys
from dataclasses import dataclass
from typing import Any

import psutil
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from gift_core.activations import (
    FP32,
    MicroBatch,
    Setup,
    adapter_weights,
    backward_in_layer,
    cast_weights,
    saved,
    saved_in_layer,
)
from gift_core.models.architecture import Architecture
from gift_core.models.head import working_bytes

# AdamW keeps two moments of each trained weight, in fp32.
_MOMENTS = 2
# nf4 has half a byte per weight, a byte of scale per 64, and a second scale in fp32 per 256 of those.
_NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)


class MemoryEstimate(BaseModel):
    """Bytes that a training step holds, apart from the program itself: what they are, and at its three heights.

    Weights and the optimiser's moments stand throughout. Gradients form while activations are given back, so that the
    peak is that of one phase, and never the sum of all parts.
    """

    model_config = ConfigDict(frozen=True)

    weights: int
    gradients: int
    optimiser: int = Field(description="AdamW's moments.")
    activations: int = Field(description="What the backward pass will read, for the largest micro-batch.")
    head: int = Field(description="A chunk of logits, and the head's weight in the dtype in which it multiplies.")
    forward: int = Field(description="In all, at the end of the forward pass, when the head is read.")
    backward: int = Field(description="In all, while a layer's gradients form.")
    step: int = Field(description="In all, when the optimiser steps.")

    @property
    def total(self) -> int:
        """The peak."""
        return max(self.forward, self.backward, self.step)


@dataclass(frozen=True)
class _Weights:
    """Bytes as they lie, and numbers that are trained: in all, in one layer, in the embedding, in the head."""

    held: int
    trained: int
    trained_in_layer: int
    trained_in_embedding: int
    trained_in_head: int


def predict(body: Architecture, setup: Setup, batch: MicroBatch) -> MemoryEstimate:
    """What training needs, from sizes alone: nothing is loaded or run. `batch` is the largest micro-batch.

    For one process that holds the whole model.
    """
    if setup.lora:
        adapters = adapter_weights(body, setup.lora)
        products = body.layers * body.layer_products
        per_product = _NF4 if setup.quantised else setup.base
        held = int(products * per_product) + (body.weights - products) * setup.base + body.layers * adapters * FP32
        weights = _Weights(held, body.layers * adapters, adapters, 0, 0)
    else:
        weights = _Weights(body.weights * FP32, body.weights, body.layer_weights, body.head, body.head)
    return _estimate(body, setup, batch, weights, saved(body, setup, batch))


def estimate(network: Any, setup: Setup, batch: MicroBatch, activations: int) -> MemoryEstimate:
    """The same for a network that is loaded, with its own weights and the activations that `count_saved` counted."""
    body = Architecture.of(network.config)
    parameters = list(network.parameters())
    trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    embedding, head = (_trained(module) for module in (network.get_input_embeddings(), network.get_output_embeddings()))
    own = embedding if body.tied else embedding + head
    weights = _Weights(
        held=sum(parameter.numel() * parameter.element_size() for parameter in parameters),
        trained=trained,
        trained_in_layer=(trained - own) // body.layers,
        trained_in_embedding=embedding,
        trained_in_head=head,
    )
    return _estimate(body, setup, batch, weights, activations)


def _estimate(
    body: Architecture, setup: Setup, batch: MicroBatch, weights: _Weights, activations: int
) -> MemoryEstimate:
    gradients, moments = weights.trained * FP32, weights.trained * FP32 * _MOMENTS
    standing = weights.held + moments
    # Later micro-batches add to the gradients of earlier ones, which are there from their start.
    earlier = gradients if batch.rows < setup.step_rows else 0
    head = working_bytes(batch.read, body.vocabulary, body.width, setup.compute, weight=setup.base, device=setup.device)
    # The head's gradient is made in the forward pass, with its logits.
    early = weights.trained_in_head * FP32
    layer = backward_in_layer(body, setup, batch)
    if setup.checkpointing:
        layer += saved_in_layer(body, setup, batch)
    first = standing + earlier + activations + early + layer
    formed = earlier or gradients - FP32 * (weights.trained_in_embedding + weights.trained_in_layer)
    last = standing + formed + activations // body.layers + layer
    return MemoryEstimate(
        weights=weights.held,
        gradients=gradients,
        optimiser=moments,
        activations=activations,
        head=head,
        forward=standing
        + earlier
        + activations
        + _cached_casts(body, setup)
        + head
        + _last_hidden(body, batch)
        + early,
        backward=max(first, last),
        step=standing + gradients,
    )


def _cached_casts(body: Architecture, setup: Setup) -> int:
    """Autocast keeps its copies of trained weights to the end of the forward pass, also where checkpointing lets go."""
    return body.layers * cast_weights(body, setup) if setup.checkpointing and setup.lora is None else 0


def _last_hidden(body: Architecture, batch: MicroBatch) -> int:
    return batch.tokens * body.width * FP32


def _trained(module: nn.Module) -> int:
    weight = module.weight
    assert isinstance(weight, torch.Tensor)
    return weight.numel() if weight.requires_grad else 0


def readable_size(count: int) -> str:
    """Bytes in the unit that reads well."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def peak_memory() -> int:
    """Most bytes this process has held: of the device's memory, or resident where it computes on the CPU."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts kilobytes, macOS bytes.
    return resident if sys.platform == "darwin" else resident * 1024


def begin_anew() -> None:
    """Let go of what an earlier run of this process has left, and count a device's peak from here."""
    # Trainers lie in cycles, and a full device is nothing that Python would notice.
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def available_memory() -> int:
    """Bytes that are free, of the device's memory or the machine's."""
    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    return int(psutil.virtual_memory().available)


def memory_in_reach() -> int:
    """Bytes that are free or held by this process: what it could have if it began again."""
    held = torch.cuda.memory_reserved() if torch.cuda.is_available() else psutil.Process().memory_info().rss
    return available_memory() + int(held)
