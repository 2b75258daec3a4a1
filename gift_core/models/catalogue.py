"""Which base models there are. Imports nothing heavy: the web process asks it too."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from gift_core.errors import ModelError


@dataclass(frozen=True)
class ModelEntry:
    """A base model on offer."""

    name: str
    title: str
    description: str


BUNDLED_MODELS: tuple[ModelEntry, ...] = (
    ModelEntry(
        "tiny",
        "Tiny base",
        "Bundled: a bidirectional Llama of 1 M parameters that knows easy 4x4 Sudoku and trains in a minute on a CPU.",
    ),
)


def find_model(name: str, *, local_folders: bool = False) -> Path:
    """The folder of a base model. `local_folders` admits paths: only for the command line, never for the web.

    Raises `ModelError` that lists the models there are.
    """
    if any(entry.name == name for entry in BUNDLED_MODELS):
        return Path(str(resources.files("gift_core") / "assets" / name))
    if local_folders and Path(name).is_dir():
        return Path(name)
    known = ", ".join(entry.name for entry in BUNDLED_MODELS)
    also = " or a folder with config.json, model.safetensors and a tokenizer" if local_folders else ""
    raise ModelError(
        f"There is no base model called {name!r}.",
        field="model.name",
        remedy=f"Choose one of: {known}{also}.",
    )
