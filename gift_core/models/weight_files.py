"""Which files a checkpoint consists of."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

from safetensors import SafetensorError, safe_open

CONFIG = "config.json"
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_SHARD = re.compile(r"[\w-][\w.-]*\.safetensors")


def missing_files(folder: Path) -> list[str]:
    """The names of what a checkpoint in `folder` lacks of its config and its weights, shards by their index.

    An index that cannot be read counts as missing.
    """
    try:
        names = {CONFIG, *weight_files(folder)}
    except (OSError, ValueError):
        return [_INDEX]
    return sorted(name for name in names if not (folder / name).exists())


def count_weights(folder: Path) -> int | None:
    """How many numbers the weights of a checkpoint are, by the heads of its files; None where those cannot be read."""
    sizes = tensor_sizes(folder)
    return None if sizes is None else sum(sizes)


def tensor_sizes(folder: Path) -> list[int] | None:
    """How many numbers each tensor of a checkpoint has, by the heads of its files; None where those cannot be read."""
    try:
        return [size for name in weight_files(folder) for size in _numbers_in(folder / name)]
    except (OSError, ValueError, SafetensorError):
        return None


def weight_files(folder: Path) -> set[str]:
    """The names of the files that hold a checkpoint's weights.

    Raises `OSError` or `ValueError` where its index cannot be read, or names files that are not in the folder.
    """
    index = folder / _INDEX
    if (folder / _WEIGHTS).exists() or not index.exists():
        return {_WEIGHTS}
    try:
        document = json.loads(index.read_text("utf-8"))
    except RecursionError:
        raise ValueError(f"{_INDEX} is nested too deep") from None
    if not isinstance(document, dict) or not isinstance(document.get("metadata", {}), dict):
        raise ValueError(f"{_INDEX} is not an object with metadata and weight_map")
    places = document.get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ValueError(f"{_INDEX} has no weight_map that says in which file each weight is")
    for name in places.values():
        if not isinstance(name, str) or not _SHARD.fullmatch(name):
            raise ValueError(
                f"weight_map in {_INDEX} names {str(name)[:60]!r}, which is no safetensors file of this folder"
            )
    return set(places.values())


def _numbers_in(path: Path) -> list[int]:
    with safe_open(path, "numpy") as file:
        return [math.prod(file.get_slice(name).get_shape()) for name in file.keys()]  # noqa: SIM118
