"""Where a trained model comes from: its base, its data and the packages, written down while they are at hand.

Exports are made to be taken away, so nothing here names a folder of this machine.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from gift_core.data.examples import Example
from gift_core.data.fingerprint import examples_digest
from gift_core.errors import Problem
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

    def __str__(self) -> str:
        return f"{self.examples:,} ({_shown(self.sha256)})"


class Provenance(BaseModel):
    """What a run is made from besides its spec: written when it begins, compared when it is resumed, and part of its
    result.

    `base` is the public name of the base model. `weights` is the digest of its files, None for a model of the Hub,
    whose commit is in the name. `start` is the digest of the weights of the run that it starts from. `tokens` is the
    digest of the examples as the tokenizer and the chat template give them. Older runs recorded only the examples.
    """

    model_config = ConfigDict(frozen=True)

    training: ExampleSet
    held_out: ExampleSet
    versions: dict[str, str]
    base: str | None = None
    weights: str | None = None
    start: str | None = None
    tokens: str | None = None

    def differences(self, now: Provenance) -> list[Problem]:
        """What is not as it was, each with its field and the old and the new value; versions may differ."""
        found = [
            _changed(field, what, str(before), str(after))
            for field, what, before, after in (
                ("data.source", "The training examples are not those of the run", self.training, now.training),
                ("data.source", "The held-out examples are not those of the run", self.held_out, now.held_out),
            )
            if before != after
        ]
        named = [
            ("model.name", "The base model is not that of the run", self.base, now.base),
            ("model.name", "The weights of the base model have changed", self.weights, now.weights),
            ("model.start_from", "The weights that the run starts from have changed", self.start, now.start),
        ]
        if not found:
            # Other examples have other tokens; only of the same ones this tells of the tokenizer.
            what = "The tokenizer or the chat template has changed, and gives other tokens"
            named.append(("model.name", what, self.tokens, now.tokens))
        return found + [
            _changed(field, what, _shown(before), _shown(after))
            for field, what, before, after in named
            if before is not None and before != after
        ]


def _changed(field: str, what: str, before: str, after: str) -> Problem:
    return Problem(
        f"{what}: {before} then, {after} now.",
        field,
        "Put back what it was, or start a new run in another folder.",
    )


def _shown(value: str | None) -> str:
    """A name as it is, and of a digest as much as tells two apart."""
    return "none" if value is None else f"SHA-256 {value[:12]}" if re.fullmatch("[0-9a-f]{64}", value) else value


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
