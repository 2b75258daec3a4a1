"""Where a trained model comes from: its base, its data and the packages, written down while they are at hand.

Exports are made to be taken away, so nothing here names a folder of this machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from gift_core.data.examples import Example
from gift_core.data.fingerprint import examples_digest
from gift_core.data.sources import Split
from gift_core.models.catalogue import find_entry
from gift_core.models.hub import HubName

_PACKAGES = ("gift-studio", "torch", "transformers", "peft")


class ExampleSet(BaseModel):
    """How many examples, and their `examples_digest`."""

    model_config = ConfigDict(frozen=True)

    examples: int
    sha256: str

    @classmethod
    def of(cls, examples: Sequence[Example]) -> ExampleSet:
        return cls(examples=len(examples), sha256=examples_digest(examples))


class Provenance(BaseModel):
    """Part of a run's result: the examples as they were, and what computed with them."""

    model_config = ConfigDict(frozen=True)

    training: ExampleSet
    held_out: ExampleSet
    versions: dict[str, str]

    @classmethod
    def of(cls, split: Split) -> Provenance:
        """Of a run that is about to be trained on `split`."""
        return cls(
            training=ExampleSet.of(split.training),
            held_out=ExampleSet.of(split.held_out),
            versions=package_versions(),
        )


@dataclass(frozen=True)
class Base:
    """A base model as the world may know it: `licence` is the Hub's identifier, None where the catalogue has none."""

    name: str
    hub: HubName | None = None
    licence: str | None = None
    bundled: bool = False

    @property
    def title(self) -> str:
        """The name without its commit."""
        return self.hub.repository if self.hub else self.name

    @property
    def reference(self) -> str:
        """What to load it by; where a folder lies is for the reader to fill in."""
        return self.name if self.hub or self.bundled else f"path/to/{self.name}"

    @classmethod
    def named(cls, name: str) -> Base:
        """The base that a run or a spec calls `name`; of a folder only its own name is kept."""
        entry, hub = find_entry(name), HubName.parse(name)
        if entry and not hub:
            return cls(name, licence=entry.licence, bundled=True)
        # A run pins what comes from the Hub; without a commit, owner/name may as well be a folder.
        if hub and (hub.revision or entry):
            return cls(name, hub, entry.licence if entry else None)
        return cls(own_name(name))


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide what a run computes; those that are not installed are left out."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            # gift_core may be used from its source.
            continue
    return versions


def own_name(path: str) -> str:
    """What a file or folder is called, without where it lies."""
    return Path(path).name or Path(path).resolve().name or "unnamed"
