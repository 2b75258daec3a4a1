"""Which model it is, told from what it holds: the name of a folder says nothing about the weights in it."""

from __future__ import annotations

import hashlib
import json

import torch

from gift_core.models.loading import DiffusionModel

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
