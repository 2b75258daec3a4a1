"""Which files a checkpoint consists of."""

from __future__ import annotations

import json
import math
from pathlib import Path

from safetensors import SafetensorError, safe_open

CONFIG = "config.json"
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"


def missing_files(folder: Path) -> list[str]:
    """The names of what a checkpoint in `folder` lacks of its config and its weights, shards by their index.

    An index that cannot be read counts as missing.
    """
    try:
        names = {CONFIG, *weight_files(folder)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return [_INDEX]
    return sorted(name for name in names if not (folder / name).exists())


def count_weights(folder: Path) -> int | None:
    """How many numbers the weights of a checkpoint are, by the heads of its files; None where those cannot be read."""
    try:
        return sum(_numbers_in(folder / name) for name in weight_files(folder))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError):
        return None


def weight_files(folder: Path) -> set[str]:
    """The names of the files that hold a checkpoint's weights; raises where its index cannot be read."""
    index = folder / _INDEX
    if not index.exists():
        return {_WEIGHTS}
    return set(map(str, json.loads(index.read_text("utf-8"))["weight_map"].values()))


def _numbers_in(path: Path) -> int:
    with safe_open(path, "numpy") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
