"""Models on disk: safetensors and the tokenizer, nothing pickled, in transformers' layout or in the authors' own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub import save_torch_state_dict
from peft import PeftModel

from gift_core.errors import ModelError
from gift_core.models.families.family import PUBLISHED_KEY
from gift_core.models.families.layout import PublishedLayout
from gift_core.models.loading import DiffusionModel
from gift_core.models.weight_files import CONFIG
from gift_core.scratch import written_beside

# The size of the files in which these models are published.
_SHARD = "5GB"


def save_checkpoint(model: DiffusionModel, target: Path, weights: dict[str, Any] | None = None) -> None:
    """Save weights (or the adapter) and tokenizer in `target`, whole or not at all; see `write_model`."""
    with written_beside(target) as beside:
        write_model(model, beside, weights)


def save_published(model: DiffusionModel, target: Path, *, shard_size: str = _SHARD) -> None:
    """Save all weights in `target`, whole or not at all, in the layout in which the model's authors published theirs.

    Their own code, which the config points to, then loads it. Raises `ModelError` for a family whose own layout is
    transformers', where `save_checkpoint` does that.
    """
    layout, config = model.family.published, getattr(model.network.config, PUBLISHED_KEY, None)
    if layout is None or config is None:
        raise ModelError(
            f"A {model.family.title} has no layout but transformers' own.",
            field="layout",
            remedy="Save it in the native layout.",
        )
    with written_beside(target) as beside:
        beside.mkdir(parents=True)
        state = model.network.state_dict()
        if model.network.config.tie_word_embeddings:
            # The published networks have no head of their own then.
            del state["lm_head.weight"]
        renamed = {layout.published_key(key): tensor for key, tensor in state.items()}
        save_torch_state_dict(renamed, beside, max_shard_size=shard_size)
        written = _published_config(layout, config, str(model.network.dtype).removeprefix("torch."))
        (beside / CONFIG).write_text(json.dumps(written, indent=2), "utf-8")
        model.tokenizer.save_pretrained(str(beside))


def write_model(model: DiffusionModel, directory: Path, weights: dict[str, Any] | None = None) -> None:
    """Write weights (or the adapter) and tokenizer into `directory`, in transformers' layout.

    `weights` is the state dict, where the network itself holds only a part of it.
    """
    if isinstance(model.network, PeftModel):
        # peft would ask the Hub whether the base's vocabulary grew; no adapter here touches embeddings.
        options = {"save_embedding_layers": False}
    else:
        # transformers would give the weights the names under which it found them, and the config would not fit.
        options = {"save_original_format": False}
    model.network.save_pretrained(str(directory), state_dict=weights, **options)
    # peft's empty template, which names the folder that the base was read from.
    (directory / "README.md").unlink(missing_ok=True)
    model.tokenizer.save_pretrained(str(directory))


def _published_config(layout: PublishedLayout, config: dict[str, Any], dtype: str) -> dict[str, Any]:
    """The config as it was read, with a dtype that is true and code that is found: it is not in this folder."""
    code = {
        name: where if "--" in where else f"{layout.code}--{where}"
        for name, where in config.get("auto_map", {}).items()
    }
    return config | ({"auto_map": code} if code else {}) | ({"torch_dtype": dtype} if "torch_dtype" in config else {})
