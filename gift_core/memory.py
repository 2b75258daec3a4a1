"""How much memory a run needs, how much it has used, and what to say when that was too much."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from gift_core.errors import OutOfMemoryError
from gift_core.models.head import CHUNK_LOGITS
from gift_core.spec import RunSpec

# The allocators of torch raise errors that only their text tells apart.
_PHRASES = ("can't allocate memory", "out of memory")
# AdamW keeps two moments of each trained weight, in fp32.
_MOMENTS = 2


class MemoryEstimate(BaseModel):
    """Bytes that a training step holds at its largest, apart from the program itself."""

    model_config = ConfigDict(frozen=True)

    weights: int
    gradients: int
    optimiser: int
    activations: int = Field(description="What the backward pass will read, for the largest micro-batch.")
    head: int = Field(description="A chunk of logits and the head's weight in the dtype in which it multiplies.")

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimiser + self.activations + self.head


def estimate(
    network: nn.Module, head: nn.Module, saved_for_backward: int, positions: int, compute_dtype: torch.dtype
) -> MemoryEstimate:
    """The parts that follow from the weights, and the activations as `count_saved` counted them.

    `positions` is how many the largest micro-batch has: the head reads no more.
    """
    parameters = list(network.parameters())
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    weight = head.weight
    assert isinstance(weight, torch.Tensor)
    copy = weight.numel() * compute_dtype.itemsize if weight.dtype != compute_dtype else 0
    return MemoryEstimate(
        weights=sum(parameter.numel() * parameter.element_size() for parameter in parameters),
        gradients=sum(parameter.numel() * parameter.element_size() for parameter in trained),
        optimiser=_MOMENTS * sum(parameter.numel() * 4 for parameter in trained),
        activations=saved_for_backward,
        head=min(CHUNK_LOGITS, positions * len(weight)) * compute_dtype.itemsize + copy,
    )


def count_saved(network: nn.Module, run: Callable[[], Any]) -> int:
    """Bytes that autograd keeps for the backward pass of what `run` computes: each storage once, and no weights."""
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    storages: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        run()
    return sum(storages.values())


def peak_memory() -> int:
    """Most bytes this process has held: of the device's memory, or resident where it computes on the CPU."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts kilobytes, macOS bytes.
    return resident if sys.platform == "darwin" else resident * 1024


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be had."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in _PHRASES)
    )


@contextmanager
def explained_out_of_memory(spec: RunSpec, shape: tuple[int, int]) -> Iterator[None]:
    """Turn an allocation that fails inside into an `OutOfMemoryError` that says what to lower.

    `shape` is the largest micro-batch, in rows and tokens.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise out_of_memory(spec, shape) from error
        raise


def out_of_memory(spec: RunSpec | None = None, shape: tuple[int, int] = (0, 0)) -> OutOfMemoryError:
    """What to tell the user; `shape` is the largest micro-batch, in rows and tokens."""
    if spec is None or not shape[0]:
        return OutOfMemoryError(
            "The machine ran out of memory.",
            field="training.micro_batch_size",
            remedy="Lower training.micro_batch_size (it changes nothing else), or data.max_length.",
        )
    rows, length = shape
    remedies = []
    if rows > 1:
        divisors = [size for size in range(1, rows) if spec.training.batch_size % size == 0]
        smaller = max((size for size in divisors if 2 * size <= rows), default=1)
        remedies.append(f"set training.micro_batch_size to {smaller} (the result stays the same)")
    if not spec.training.gradient_checkpointing:
        remedies.append("turn on training.gradient_checkpointing")
    if spec.training.adapter == "full":
        remedies.append("set training.adapter to lora")
    elif spec.model.quantisation == "none":
        remedies.append("set model.quantisation to nf4")
    remedies.append(f"lower data.max_length (now {spec.data.max_length})")
    text = ", or ".join(remedies)
    return OutOfMemoryError(
        f"The machine ran out of memory with micro-batches of up to {rows} sequences of {length} tokens.",
        field="training.micro_batch_size",
        remedy=f"{text[0].upper()}{text[1:]}.",
    )
