"""Which model it is, told from what it holds: the name of a folder says nothing about the weights in it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch

from gift_core.errors import ModelError
from gift_core.models.adapter_files import ADAPTER_CONFIG, ADAPTER_WEIGHTS, is_adapter
from gift_core.models.folder.documents import read_document
from gift_core.models.loading import DiffusionModel
from gift_core.models.weight_files import CONFIG, weight_files

# What a save writes into a config without changing what the model computes.
_BOOKKEEPING = frozenset({"_name_or_path", "architectures", "dtype", "transformers_version", "use_cache"})


def fingerprint(model: DiffusionModel) -> str:
    """Hexadecimal digits that two models share when their weights, config and special tokens are the same.

    Reads every weight once: about a second per gigabyte.
    """
    digest = hashlib.sha256()
    config = {key: value for key, value in model.network.config.to_dict().items() if key not in _BOOKKEEPING}
    ids = [model.mask_id, model.eos_id, model.logit_shift]
    digest.update(json.dumps([config, ids], sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.network.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def files_digest(folder: Path) -> str:
    """Hexadecimal digits that two checkpoints on disk share when their config and weights are the same.

    Other files of the folder do not count. Reads the weights once and loads nothing: about a second per gigabyte.
    Raises `OSError` or `ValueError` where a file cannot be read.
    """
    config, weights = (ADAPTER_CONFIG, {ADAPTER_WEIGHTS}) if is_adapter(folder) else (CONFIG, weight_files(folder))
    try:
        values = read_document(folder / config)
    except ModelError as error:
        raise ValueError(str(error)) from error
    # Which dtype the weights are loaded in is written there, and changes what they compute.
    kept = {name: value for name, value in values.items() if name == "dtype" or name not in _BOOKKEEPING}
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode())
    for name in sorted(weights):
        with (folder / name).open("rb") as file:
            digest.update(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()
