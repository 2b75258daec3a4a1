"""The JSON files of a model folder, read within limits: a file may be of any size, depth and shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gift_core.errors import ModelError

# Configs are some kilobytes, and the largest published vocabularies some 35 MB.
MOST_BYTES = {"tokenizer.json": 256 * 2**20, "vocab.json": 256 * 2**20, "model.safetensors.index.json": 64 * 2**20}
_MOST_BYTES_OF_OTHERS = 4 * 2**20
# Published ones are five deep.
_DEEPEST = 64
GENERATION = "generation_config.json"
_REMEDY = "Correct the file, or fetch it again."
# What transformers and peft read of a folder, of its own accord.
_READ = (
    "config.json",
    GENERATION,
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "model.safetensors.index.json",
)


def check_documents(directory: Path) -> None:
    """Raise `ModelError` that names the file where one that is read with a model is no JSON object, or is too large."""
    for name in _READ:
        if (directory / name).exists():
            read_document(directory / name)


def read_document(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a model folder; raises `ModelError` that names the file."""
    try:
        most = MOST_BYTES.get(path.name, _MOST_BYTES_OF_OTHERS)
        if path.stat().st_size > most:
            raise unusable(path, f"it is larger than {most // 2**20} MB")
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise unusable(path, " ".join(str(error).split()).rstrip(".")) from error
    except RecursionError:
        raise unusable(path, f"it is nested more than {_DEEPEST} deep") from None
    if not isinstance(document, dict):
        raise unusable(path, "it is not an object")
    if _is_deep(document):
        raise unusable(path, f"it is nested more than {_DEEPEST} deep")
    return document


def unusable(path: Path, why: str) -> ModelError:
    """What to say of a file of a model folder."""
    return ModelError(f"{path.name} of {path.parent.name} cannot be read: {why}.", field="model.name", remedy=_REMEDY)


def _is_deep(document: object) -> bool:
    level = [document]
    for _ in range(_DEEPEST):
        level = [child for each in level for child in _children(each) if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
