"""Which base models there are. Imports nothing heavy: the web process asks it too."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from gift_core.errors import ModelError
from gift_core.models.hub import HubName, cached


@dataclass(frozen=True)
class ModelEntry:
    """A base model on offer. `licence` is the Hub's identifier for the licence of its weights."""

    name: str
    title: str
    description: str
    licence: str


BUNDLED_MODELS: tuple[ModelEntry, ...] = (
    ModelEntry(
        "tiny",
        "Tiny base",
        "A bidirectional Llama of 2.7 M parameters that reasons through four small tasks; trains in minutes on CPUs.",
        licence="apache-2.0",
    ),
)
# Offered once they lie in the local cache: a click must never start a download of this size.
HUB_MODELS: tuple[ModelEntry, ...] = (
    ModelEntry("GSAI-ML/LLaDA-8B-Base", "LLaDA 8B Base", "16 GB in bf16, pretrained; for a GPU.", "mit"),
    ModelEntry(
        "GSAI-ML/LLaDA-8B-Instruct", "LLaDA 8B Instruct", "16 GB in bf16, follows instructions; for a GPU.", "mit"
    ),
    ModelEntry("GSAI-ML/LLaDA-1.5", "LLaDA 1.5", "16 GB in bf16, LLaDA 8B Instruct after preference training.", "mit"),
    ModelEntry("Dream-org/Dream-v0-Base-7B", "Dream 7B Base", "15 GB in bf16, pretrained; for a GPU.", "apache-2.0"),
    ModelEntry(
        "Dream-org/Dream-v0-Instruct-7B",
        "Dream 7B Instruct",
        "15 GB in bf16, follows instructions; for a GPU.",
        "apache-2.0",
    ),
)


def offered_models() -> tuple[ModelEntry, ...]:
    """What can be used right now: the bundled models, and those of the Hub that lie in the local cache."""
    return BUNDLED_MODELS + tuple(entry for entry in HUB_MODELS if cached(HubName(entry.name)))


def find_entry(name: str) -> ModelEntry | None:
    """The entry of a base model by its name, with a revision or without; None for what is not in the catalogue."""
    hub_name = HubName.parse(name)
    plain = hub_name.repository if hub_name else name
    return next((entry for entry in BUNDLED_MODELS + HUB_MODELS if entry.name == plain), None)


def find_model(name: str, *, local_folders: bool = False) -> Path:
    """The folder of a base model; never starts a download.

    `local_folders` admits paths and any model of the Hub that lies in the local cache: only for the command line and
    for what the web has admitted already. Raises `ModelError` that lists the models there are.
    """
    if any(entry.name == name for entry in BUNDLED_MODELS):
        return Path(str(resources.files("gift_core") / "assets" / name))
    if local_folders and Path(name).is_dir():
        return Path(name)
    hub_name = HubName.parse(name)
    if hub_name and (local_folders or any(entry.name == name for entry in HUB_MODELS)):
        folder = cached(hub_name)
        if folder:
            return folder
        raise ModelError(
            f"{name} is not on this machine.",
            field="model.name",
            remedy=f"Fetch it first: gift download {name}.",
        )
    known = ", ".join(entry.name for entry in offered_models())
    also = ", a folder with config.json, weights and a tokenizer, or owner/name of the Hub" if local_folders else ""
    raise ModelError(
        f"There is no base model called {name!r}.",
        field="model.name",
        remedy=f"Choose one of: {known}{also}.",
    )


def pinned_name(name: str) -> str:
    """The name under which these very weights are found again: a Hub model's with its commit, a folder's whole path."""
    if any(entry.name == name for entry in BUNDLED_MODELS):
        return name
    if Path(name).is_dir():
        return str(Path(name).absolute())
    hub_name = HubName.parse(name)
    return name if hub_name is None else hub_name.pinned(find_model(name, local_folders=True))
