"""What to say when a run asked for more memory than there is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gift_core.activations import MicroBatch
from gift_core.errors import OutOfMemoryError
from gift_core.memory import MemoryEstimate, memory_in_reach, readable_size
from gift_core.models.architecture import Architecture
from gift_core.sizing import Suggestion, suggest, suggest_smaller
from gift_core.spec import RunSpec

# The allocators of torch raise errors that only their text tells apart.
_PHRASES = ("can't allocate memory", "out of memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be had."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in _PHRASES)
    )


@contextmanager
def explained_out_of_memory(spec: RunSpec, batch: MicroBatch, body: Architecture) -> Iterator[None]:
    """Turn an allocation that fails inside into an `OutOfMemoryError` that says what to lower.

    `batch` is the largest micro-batch.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise out_of_memory(spec, batch, body, memory_in_reach()) from error
        raise


def out_of_memory(spec: RunSpec, batch: MicroBatch, body: Architecture, available: int) -> OutOfMemoryError:
    """What to tell the user; `batch` is the largest micro-batch and `available` the bytes that a run could have."""
    return OutOfMemoryError(
        f"The machine ran out of memory with micro-batches of up to {batch.rows} sequences of {batch.length} tokens.",
        field="training.micro_batch_size",
        remedy=_remedy(spec, batch, suggest_smaller(body, spec, batch, available)),
    )


def out_of_memory_somewhere() -> OutOfMemoryError:
    """What to tell the user where nothing more is known."""
    return OutOfMemoryError(
        "The machine ran out of memory.",
        field="training.micro_batch_size",
        remedy="Lower training.micro_batch_size (it changes nothing else), or data.max_length.",
    )


def too_little_memory(
    spec: RunSpec, batch: MicroBatch, body: Architecture, needed: MemoryEstimate, available: int
) -> OutOfMemoryError:
    """What to tell the user of a run that was not begun, since it would need more than `available` bytes."""
    return OutOfMemoryError(
        f"Training {spec.model.name} with micro-batches of up to {batch.rows} sequences of {batch.length} tokens would "
        f"need about {readable_size(needed.total)}, {readable_size(needed.weights)} of it for weights, and "
        f"{readable_size(available)} are free.",
        field="training.micro_batch_size",
        remedy=_remedy(spec, batch, suggest(body, spec, batch, available)),
    )


def _remedy(spec: RunSpec, batch: MicroBatch, suggestion: Suggestion | None) -> str:
    """What makes a run smaller: settings that would fit, where there are any, then what else can be done."""
    remedies = []
    if suggestion:
        remedies.append(f"choose {suggestion} (the results stay the same)")
    elif batch.rows > 1:
        remedies.append("lower training.micro_batch_size (the results stay the same)")
    if not suggestion and not spec.training.gradient_checkpointing:
        remedies.append("turn on training.gradient_checkpointing")
    if spec.training.adapter == "full":
        remedies.append("set training.adapter to lora")
    elif spec.model.quantisation == "none":
        remedies.append("set model.quantisation to nf4")
    remedies.append(f"lower data.max_length (now {spec.data.max_length})")
    text = ", or ".join(remedies)
    return f"{text[0].upper()}{text[1:]}."
