"""Beginning a run with the weights that another run has left."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gift_core.errors import ModelError
from gift_core.models.adapter_files import base_of, is_adapter, lora_of, trainable
from gift_core.models.catalogue import pinned_name
from gift_core.models.hub import HubName
from gift_core.models.loading import DiffusionModel, load_base
from gift_core.reporting import CHECKPOINT, RESULT_FILE
from gift_core.spec import RunSpec, weight_dtype

# The folder of a run, by what a spec calls it; raises `ModelError` where there is none.
ResolveRun = Callable[[str], Path]


def start_checkpoint(spec: RunSpec, resolve_run: ResolveRun) -> Path:
    """The weights of the run that `spec.model.start_from` names; raises `ModelError` if there are none."""
    assert spec.model.start_from is not None
    checkpoint = resolve_run(spec.model.start_from) / CHECKPOINT
    if not checkpoint.is_dir():
        raise _unusable("It has left no weights, or they were removed.", "Choose a finished run.")
    return checkpoint


def base_name(spec: RunSpec, resolve_run: ResolveRun, recorded: str | None = None) -> str:
    """The name under which the base's weights are found again: a Hub model's with its commit.

    `recorded` is that of an earlier start of the same run, which keeps its commit when the repository has a new one.
    A run that starts from all weights of another has the base of that run. Raises `ModelError`.
    """
    name = spec.model.name
    hub, kept = HubName.parse(name), HubName.parse(recorded or "")
    if hub and kept and kept.revision and kept.repository == hub.repository and not Path(name).is_dir():
        return kept.name
    if spec.model.start_from is not None and spec.training.adapter == "full":
        return _base_of_run(resolve_run(spec.model.start_from)) or name
    return pinned_name(name)


def _base_of_run(directory: Path) -> str | None:
    """The base that a run recorded in its result; None if it recorded none."""
    try:
        result = json.loads((directory / RESULT_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    base = result.get("base") if isinstance(result, dict) else None
    return base if isinstance(base, str) else None


def start_model(spec: RunSpec, resolve_run: ResolveRun, base: str) -> DiffusionModel:
    """The model of the run that `spec.model.start_from` names, to be trained further; `base` is its `base_name`.

    A LoRA adapter stays one: the base is loaded as it is and the adapter goes on being trained. Raises `ModelError`
    where there are no weights, or they are not of the kind that the spec trains.
    """
    checkpoint = start_checkpoint(spec, resolve_run)
    adapted = spec.training.adapter == "lora"
    if is_adapter(checkpoint) != adapted:
        kind = "a LoRA adapter" if not adapted else "all weights"
        raise _unusable(f"It has trained {kind}.", "Set training.adapter to what that run had.")
    if not adapted:
        return load_base(str(checkpoint), dtype=weight_dtype(spec))
    lora = spec.training.lora
    if lora_of(checkpoint) != (lora.rank, lora.alpha, lora.dropout):
        raise _unusable("Its adapter has another rank, alpha or dropout.", "Set training.lora to what that run had.")
    name = base_of(checkpoint)
    # Older adapters name a folder as it was typed.
    if base not in (name, _whole_path(name)):
        raise _unusable(f"Its adapter is of {name}.", f"Set model.name to {name}.")
    model = load_base(base, quantisation=spec.model.quantisation, dtype=weight_dtype(spec))
    return replace(model, network=trainable(model.network, checkpoint))


def _whole_path(name: str) -> str:
    return str(Path(name).absolute()) if Path(name).is_dir() else name


def _unusable(message: str, remedy: str) -> ModelError:
    return ModelError(f"The run to start from cannot be used. {message}", field="model.start_from", remedy=remedy)
