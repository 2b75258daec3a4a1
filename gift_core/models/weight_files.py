"""Which files a checkpoint consists of."""

from __future__ import annotations

import json
from pathlib import Path

CONFIG = "config.json"
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"


def missing_files(folder: Path) -> list[str]:
    """The names of what a checkpoint in `folder` lacks of its config and its weights, shards by their index.

    An index that cannot be read counts as missing.
    """
    index = folder / _INDEX
    try:
        weights = set(json.loads(index.read_text("utf-8"))["weight_map"].values()) if index.exists() else {_WEIGHTS}
    except (ValueError, KeyError, TypeError, AttributeError):
        return [_INDEX]
    return sorted(name for name in map(str, {CONFIG, *weights}) if not (folder / name).exists())
