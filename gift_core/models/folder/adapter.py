"""What the config of a LoRA adapter may say: sizes that its weights have, and no code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

if TYPE_CHECKING:
    from peft import LoraConfig

# What is read. The other fields of peft name modules to import, copy layers, or change the base's weights.
_READ = frozenset(
    {
        *("r", "lora_alpha", "lora_dropout", "bias", "lora_bias", "use_rslora", "use_dora", "fan_in_fan_out"),
        *("target_modules", "exclude_modules", "modules_to_save", "layers_to_transform", "layers_pattern"),
        *("rank_pattern", "alpha_pattern", "init_lora_weights", "trainable_token_indices", "ensure_weight_tying"),
        *("task_type", "base_model_name_or_path", "revision", "inference_mode"),
    }
)
# They say how the adapter came about.
_IGNORED = frozenset({"peft_type", "peft_version", "auto_mapping", "runtime_config", "megatron_core"})
# Names of modules, and their beginnings and ends: peft reads them as regular expressions.
_PATTERN = re.compile(r"[\w.\\^$-]{1,200}")
_START = (True, False, "gaussian", "orthogonal")
_PREFIX, _FACTOR = "base_model.model.", ".lora_A."


def read_adapter(config: Mapping[str, Any], weights: Path) -> LoraConfig:
    """The config of the adapter whose weights are in that file, as peft takes it; raises `ValueError`."""
    from peft import LoraConfig

    ranks = _ranks(weights)
    for problem in _problems(config, max(ranks.values(), default=0), LoraConfig()):
        raise ValueError(f"adapter_config.json has {problem}")
    values = {name: config[name] for name in _READ if name in config}
    if any(isinstance(values.get(name), str) for name in ("target_modules", "exclude_modules")):
        # A regular expression over the names of modules: those which it found have weights here.
        values |= {"target_modules": sorted(ranks), "exclude_modules": None}
    return LoraConfig(**values)


def _ranks(weights: Path) -> dict[str, int]:
    """The rank of each module in a file of weights."""
    with safe_open(weights, "numpy") as file:
        return {
            name.split(_FACTOR)[0].removeprefix(_PREFIX): file.get_slice(name).get_shape()[0]
            for name in file.keys()  # noqa: SIM118
            if _FACTOR in name
        }


def _problems(config: Mapping[str, Any], rank: int, usual: object) -> Iterator[str]:
    for name, value in config.items():
        if name in _IGNORED or not value or value == getattr(usual, name, None):
            continue
        if name not in _READ:
            yield f"{name}: {str(value)[:80]}, which is not supported"
    patterns = {name: config.get(name) or {} for name in ("rank_pattern", "alpha_pattern")}
    for name, pattern in patterns.items():
        if not isinstance(pattern, dict):
            yield f"{name}: {str(pattern)[:80]}, which is not an object"
            return
        for key in pattern:
            if not _PATTERN.fullmatch(key):
                yield f"{name} with {key[:80]!r}, which is not the name of a module"
    for each in (config.get("r", rank), *patterns["rank_pattern"].values()):
        if isinstance(each, bool) or not isinstance(each, int) or not 1 <= each <= rank:
            yield f"the rank {str(each)[:40]}, and its weights have the rank {rank}"
    layers = config.get("layers_pattern") or []
    for each in [layers] if isinstance(layers, str) else list(layers):
        if not _PATTERN.fullmatch(str(each)):
            yield f"layers_pattern: {str(each)[:80]!r}, which is not the name of a module"
    if config.get("init_lora_weights", True) not in _START:
        yield f"init_lora_weights: {config['init_lora_weights']!r}, which changes the weights of the base"
