"""Whether the weights in a folder are as many as its config describes, before any memory is taken for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook

from gift_core.errors import ModelError
from gift_core.models.weight_files import tensor_sizes

# What is missing or of another shape is listed after loading, and may be this much.
_TIMES, _NUMBERS = 2, 2**22
# A published model has about two parts for each of its tensors.
_PARTS_OF_A_TENSOR, _PARTS = 8, 4096
_REMEDY = "Correct config.json, or fetch it and the weights again: they are not of one model."


def check_capacity(directory: Path, build: Callable[[], nn.Module]) -> None:
    """Raise `ModelError` if `build` makes no network, or one of many more numbers than the weights' files hold."""
    sizes = tensor_sizes(directory)
    if sizes is None:
        # They cannot be read, which loading says.
        return
    tensors, numbers = len(sizes), sum(sizes)
    try:
        with torch.device("meta"), _at_most(_PARTS_OF_A_TENSOR * tensors + _PARTS):
            network = build()
    except _TooManyPartsError as error:
        raise _too_many(directory, f"more than {error} parts", f"{tensors:,} tensors") from error
    # transformers trusts a config: what is wrong in one may fail anywhere, with any exception.
    except Exception as error:
        why = " ".join(str(error).split())[:300].rstrip(".")
        raise ModelError(
            f"config.json of {directory.name} does not describe a model: {type(error).__name__}, {why}.",
            field="model.name",
            remedy=_REMEDY,
        ) from error
    wanted = sum(each.numel() for part in (network.parameters(), network.buffers()) for each in part)
    if wanted > _TIMES * numbers + _NUMBERS:
        raise _too_many(directory, f"{wanted:,} numbers", f"{numbers:,}")


class _TooManyPartsError(Exception):
    """A network has more parts than there may be."""


@contextmanager
def _at_most(parts: int) -> Iterator[None]:
    """Raise `_TooManyPartsError` in this thread as soon as networks have been made of more parts than that."""
    mine, count = threading.get_ident(), 0

    def note(*_: object) -> None:
        nonlocal count
        if threading.get_ident() == mine:
            count += 1
            if count > parts:
                raise _TooManyPartsError(f"{parts:,}")

    hook = register_module_module_registration_hook(note)
    try:
        yield
    finally:
        hook.remove()


def _too_many(directory: Path, wanted: str, stored: str) -> ModelError:
    return ModelError(
        f"config.json of {directory.name} describes a model of {wanted}, and its weights are {stored}.",
        field="model.name",
        remedy=_REMEDY,
    )
