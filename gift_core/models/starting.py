"""Beginning a run with the weights that another run has left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gift_core.errors import ModelError
from gift_core.models.adapter_files import base_of, is_adapter, lora_of, trainable
from gift_core.models.catalogue import pinned_name
from gift_core.models.loading import DiffusionModel, load_base
from gift_core.reporting import CHECKPOINT
from gift_core.spec import RunSpec, weight_dtype

# The folder of a run, by what a spec calls it; raises `ModelError` where there is none.
ResolveRun = Callable[[str], Path]


def start_model(spec: RunSpec, resolve_run: ResolveRun) -> DiffusionModel:
    """The model of the run that `spec.model.start_from` names, to be trained further.

    A LoRA adapter stays one: the base is loaded as it is and the adapter goes on being trained. Raises `ModelError`
    where there are no weights, or they are not of the kind that the spec trains.
    """
    assert spec.model.start_from is not None
    checkpoint = resolve_run(spec.model.start_from) / CHECKPOINT
    if not checkpoint.is_dir():
        raise _unusable("It has left no weights, or they were removed.", "Choose a finished run.")
    adapted = spec.training.adapter == "lora"
    if is_adapter(checkpoint) != adapted:
        kind = "a LoRA adapter" if not adapted else "all weights"
        raise _unusable(f"It has trained {kind}.", "Set training.adapter to what that run had.")
    if not adapted:
        return load_base(str(checkpoint), dtype=weight_dtype(spec))
    lora = spec.training.lora
    if lora_of(checkpoint) != (lora.rank, lora.alpha, lora.dropout):
        raise _unusable("Its adapter has another rank, alpha or dropout.", "Set training.lora to what that run had.")
    if (name := base_of(checkpoint)) != pinned_name(spec.model.name):
        raise _unusable(f"Its adapter is of {name}.", f"Set model.name to {name}.")
    base = load_base(spec.model.name, quantisation=spec.model.quantisation, dtype=weight_dtype(spec))
    return replace(base, network=trainable(base.network, checkpoint))


def _unusable(message: str, remedy: str) -> ModelError:
    return ModelError(f"The run to start from cannot be used. {message}", field="model.start_from", remedy=remedy)
