"""Models on disk: safetensors and the tokenizer, nothing pickled."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from peft import PeftModel

from gift_core.models.loading import DiffusionModel


def save_checkpoint(model: DiffusionModel, target: Path, weights: dict[str, Any] | None = None) -> None:
    """Save weights (or the adapter) and tokenizer in `target`, whole or not at all; see `write_model`."""
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    write_model(model, beside, weights)
    shutil.rmtree(target, ignore_errors=True)
    beside.replace(target)


def write_model(model: DiffusionModel, directory: Path, weights: dict[str, Any] | None = None) -> None:
    """Write weights (or the adapter) and tokenizer into `directory`.

    `weights` is the state dict, where the network itself holds only a part of it.
    """
    # peft would ask the Hub whether the base's vocabulary grew; no adapter here touches embeddings.
    options = {"save_embedding_layers": False} if isinstance(model.network, PeftModel) else {}
    model.network.save_pretrained(str(directory), state_dict=weights, **options)
    model.tokenizer.save_pretrained(str(directory))
