"""The layout in which a family's authors published it: names of config fields and of weights, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedConfig

from gift_core.errors import ModelError, Problem

Config = Mapping[str, Any]
_LAYER, _NUMBER = "{n}", r"(\d+)"


@dataclass(frozen=True)
class PublishedLayout:
    """How a family's own code names its config fields and its modules.

    `required` and `optional` are pairs of a published and a native field; of two with one native field the later one
    wins, where it is given. `fixed` holds, for each field that changes what the model computes, the values with which
    the native network computes the same; None stands for a field that is left out. `ignored` fields change nothing.
    `modules` are pairs of a published and a native module, in which `{n}` is the number of the layer; none where they
    are called the same. `code` is the Hub repository of the authors' own code.
    """

    model_type: str
    architecture: str
    native_type: str
    code: str
    required: tuple[tuple[str, str], ...]
    optional: tuple[tuple[str, str], ...]
    fixed: Mapping[str, tuple[Any, ...]]
    ignored: frozenset[str]
    modules: tuple[tuple[str, str], ...] = ()

    def native_values(self, config: Config) -> dict[str, Any]:
        """The native names of the fields of `config`; raises `ModelError` that lists those which cannot be mapped."""
        problems = [*self._missing(config), *self._different(config), *self._unknown(config)]
        if problems:
            raise ModelError.of([Problem(problem, "model.name") for problem in problems])
        pairs = (*self.required, *self.optional)
        return {native: config[name] for name, native in pairs if config.get(name) is not None}

    def renames(self) -> dict[str, str]:
        """Patterns of published keys and what they become, as transformers' `key_mapping` wants them."""
        return {f"^{_pattern(name)}{re.escape('.')}": _replacement(native) + "." for name, native in self.modules}

    def published_key(self, key: str) -> str:
        """What the authors call the weight that is `key` in the native network."""
        for name, native in self.modules:
            found, count = re.subn(f"^{_pattern(native)}(?=[.])", _replacement(name), key)
            if count:
                return found
        return key

    def _missing(self, config: Config) -> list[str]:
        names = dict.fromkeys(name for name, _ in self.required)
        return [f"config.json has no {name}." for name in names if config.get(name) is None]

    def _different(self, config: Config) -> list[str]:
        return [
            f"config.json has {name}: {config.get(name)!r}, which is not supported; supported is {_listed(values)}."
            for name, values in self.fixed.items()
            if config.get(name) not in values
        ]

    def _unknown(self, config: Config) -> list[str]:
        known = {name for name, _ in (*self.required, *self.optional)} | set(self.fixed) | self.ignored
        # Every config has these, and none of them is about the architecture.
        known |= set(PreTrainedConfig().to_dict()) | {"auto_map", "torch_dtype", "_name_or_path"}
        return [
            f"config.json has {name}: {value!r}, of which nothing is known: it may change what the model computes."
            for name, value in config.items()
            if name not in known and value is not None
        ]


def _pattern(template: str) -> str:
    return re.escape(template).replace(re.escape(_LAYER), _NUMBER)


def _replacement(template: str) -> str:
    return template.replace(_LAYER, r"\1")


def _listed(values: tuple[Any, ...]) -> str:
    return " or ".join("to leave it out" if value is None else repr(value) for value in values)
