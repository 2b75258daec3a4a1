"""torch.compile for the layers of a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._dynamo.exc import BackendCompilerFailed

from gift_core.errors import TrainingError

_REMEDY = "Install a C++ compiler such as g++, or set training.compile to false."


def check_compiler() -> None:
    """Raise `TrainingError` where there is nothing to compile with; on a GPU, torch brings what it needs."""
    from torch._inductor import cpp_builder, exc

    if torch.accelerator.is_available():
        return
    try:
        cpp_builder.get_cpp_compiler()
    except exc.InvalidCxxCompiler as error:
        raise TrainingError(
            "There is no C++ compiler on this machine.", field="training.compile", remedy=_REMEDY
        ) from error


def compile_layers(network: Any) -> None:
    """Compile each layer in place, for any length: names of weights stay, and the head is not traced, since what
    replaces its forward changes from pass to pass."""
    body = getattr(network, "get_base_model", lambda: network)().base_model
    for layer in getattr(body, "layers", [body]):
        layer.compile(dynamic=True)


@contextmanager
def explained_compilation() -> Iterator[None]:
    """Turn a compiler that fails inside into a `TrainingError` that says what to do; compiling happens on first use."""
    try:
        yield
    except BackendCompilerFailed as error:
        raise TrainingError(
            f"The model could not be compiled: {str(error).strip().splitlines()[0]}",
            field="training.compile",
            remedy=_REMEDY,
        ) from error
