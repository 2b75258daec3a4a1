"""What the forward pass of a micro-batch keeps for its backward pass: counted in a real one, or told from the sizes.

The formula follows transformers' own Llama under torch's autograd, tensor by tensor; Qwen2 is the same, and Qwen3 but
for its norms of queries and keys. Of `training.compile` it knows nothing: a compiler keeps what it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from gift_core.models.architecture import Architecture
from gift_core.spec import LoraSpec, RunSpec, WeightDtype, weight_dtype

FP32 = 4
_BF16 = 2
_WEIGHT: Mapping[WeightDtype, int | None] = {"auto": None, "bf16": _BF16, "fp32": FP32}


@dataclass(frozen=True)
class Setup:
    """What of a spec decides about memory, apart from the micro-batch. Sizes are bytes per number.

    `base` is in what the weights are held that are not trained; `step_rows` how many sequences one optimiser step has.
    """

    compute: int
    checkpointing: bool
    lora: LoraSpec | None
    quantised: bool
    step_rows: int
    base: int = FP32
    device: str = "cpu"

    @classmethod
    def of(cls, spec: RunSpec, body: Architecture) -> Setup:
        """The setup that `spec` asks for, with this body, on the device there is."""
        training = spec.training
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return cls(
            compute=_BF16 if training.precision == "bf16" else FP32,
            checkpointing=training.gradient_checkpointing,
            lora=training.lora if training.adapter == "lora" else None,
            quantised=spec.model.quantisation != "none",
            step_rows=training.batch_size,
            base=_WEIGHT[weight_dtype(spec)] or body.published,
            device=accelerator.type if accelerator else "cpu",
        )

    @property
    def autocast(self) -> bool:
        return self.compute != FP32

    @property
    def result(self) -> int:
        """Of what a product gives: bitsandbytes answers in the dtype in which it was asked."""
        return self.base if self.quantised else self.compute

    @property
    def casts_weights(self) -> bool:
        """Whether autocast makes copies of the body's weights."""
        return self.autocast and self.base != self.compute and not self.quantised


@dataclass(frozen=True)
class MicroBatch:
    """Sequences that go through the model at once. `read` counts the positions whose logits may be asked for."""

    rows: int
    length: int
    read: int
    padded: bool = False

    @property
    def tokens(self) -> int:
        return self.rows * self.length

    def of_rows(self, rows: int) -> MicroBatch:
        """As long, with another number of rows."""
        return replace(self, rows=rows, read=-(-self.read * rows // self.rows), padded=self.padded and rows > 1)


def count_saved(network: nn.Module, run: Callable[[], Any]) -> int:
    """Bytes that autograd keeps for the backward pass of what `run` computes: each storage once, and no weights."""
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    storages: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
        # The tensor itself would hold the node that saved it, which holds the tensor: for good, out of Python's sight.
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        run()
    return sum(storages.values())


def saved(body: Architecture, setup: Setup, batch: MicroBatch) -> int:
    """Bytes that `count_saved` would count."""
    # With checkpointing, a layer's input is all that is left of it.
    inputs = batch.tokens * body.width * setup.base
    layer = inputs if setup.checkpointing else saved_in_layer(body, setup, batch)
    return body.layers * layer + batch.tokens * _norm(body, setup)


def saved_in_layer(body: Architecture, setup: Setup, batch: MicroBatch) -> int:
    """Bytes that one layer keeps, recomputed or not."""
    per_token = 2 * _norm(body, setup) + _attention(body, setup, batch) + _mlp(body, setup) + _inputs(body, setup)
    # Each layer converts the mask of padded positions for itself.
    mask = batch.length * setup.compute if batch.padded else 0
    return batch.tokens * (per_token + mask) + cast_weights(body, setup) + _cast_adapters(body, setup)


def backward_in_layer(body: Architecture, setup: Setup, batch: MicroBatch) -> int:
    """Bytes that a layer holds for its backward pass on top of what it kept: gradients on their way, at the MLP."""
    gradients = 2 * body.mlp * setup.result + 3 * body.width * FP32
    # The adapters' input is fp32 between two casts.
    gradients += body.mlp * FP32 if setup.lora and setup.autocast else 0
    dequantised = body.width * body.mlp * setup.compute if setup.quantised else 0
    return batch.tokens * gradients + dequantised


def cast_weights(body: Architecture, setup: Setup) -> int:
    """Bytes of the copies that autocast makes of a layer's weights: each product keeps the one it used."""
    return body.layer_products * setup.compute if setup.casts_weights else 0


def adapter_weights(body: Architecture, lora: LoraSpec) -> int:
    """Weights of one layer's adapters."""
    return sum(lora.rank * (rows + columns) for rows, columns in _adapted(body, lora))


def _adapted(body: Architecture, lora: LoraSpec) -> tuple[tuple[int, int], ...]:
    others = body.other_products if lora.targets == "all_linear" else ()
    return (*body.attention_products, *others)


def _cast_adapters(body: Architecture, setup: Setup) -> int:
    return adapter_weights(body, setup.lora) * setup.compute if setup.lora and setup.autocast else 0


def _norm(body: Architecture, setup: Setup) -> int:
    """Per token: the input, for its mean square, and where the norm is trained what its weight multiplies."""
    return body.width * FP32 * (1 if setup.lora else 2)


def _attention(body: Architecture, setup: Setup, batch: MicroBatch) -> int:
    """Per token: queries, keys, values, what comes out, and the softmax's normaliser in fp32."""
    # With a mask, keys and values are repeated for each of the heads that share them.
    keys = body.query_width if batch.padded else body.key_width
    return 2 * (body.query_width + keys) * setup.compute + body.heads * FP32 + _query_norms(body, setup)


def _query_norms(body: Architecture, setup: Setup) -> int:
    """Per token: as in any other norm, but what the weight multiplies is rounded to the products' dtype before."""
    if not body.normed_queries:
        return 0
    return (body.query_width + body.key_width) * (FP32 + (0 if setup.lora else setup.result))


def _mlp(body: Architecture, setup: Setup) -> int:
    """Per token: gate, its activation and what it multiplies."""
    return 3 * body.mlp * setup.result


def _inputs(body: Architecture, setup: Setup) -> int:
    """Per token: the inputs of products whose weight is trained, which its gradient is made from.

    An input is cast, or dropped out from, once for each product that reads it. Otherwise those that read the same share
    it, and the attention's output is kept already.
    """
    if setup.lora is None:
        # Queries, keys, values, gate and what is gated.
        readers = 5 if setup.autocast else 2
        return (readers * body.width + body.mlp) * setup.compute
    adapted = _adapted(body, setup.lora)
    widths = [inputs for inputs, _ in adapted]
    ranks = setup.lora.rank * len(adapted) * setup.compute
    if setup.lora.dropout:
        # What dropout multiplied with: numbers on the CPU, truth values on a GPU.
        mask = FP32 if setup.device == "cpu" else 1
        return sum(widths) * (setup.compute + mask) + ranks
    if setup.autocast:
        return sum(widths) * setup.compute + ranks
    shared = body.width if setup.lora.targets == "attention" else 2 * body.width + body.mlp
    return shared * setup.compute + ranks
