"""What the config of a model folder may say: sizes that a model can have, and nothing that fetches or runs code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gift_core.errors import ModelError, Problem

# Which code computes the attention, the experts or the layers is chosen here: a file could name a package of the Hub.
# The others say how the file came about, or name other files.
_DROPPED = re.compile(
    r"_?(attn|experts|mlp)_implementation(_\w+)?|custom_pipelines|use_kernels|kernel_config|"
    r"transformers_weights|distributed_config|base_model_tp_plan|base_model_pp_plan|_name_or_path|_commit_hash"
)
# How often something is built. The largest published models have some hundred layers and heads.
_COUNTS = re.compile(
    r"_?(num|n|max)_.*(layers|heads|blocks|groups|experts|stages|labels)|n_?(layer|head)s?|layers|depth|.*_layers"
)
# What the tokenizer is held against. The end of a text may have several ids, and -1 stands for none.
_IDS = re.compile(r"vocab_size|embedding_size|\w+_token_id")
_LARGEST_ID = 2**31 - 1
_MOST_OF_A_COUNT = 1024
_MOST = 2**53
_DTYPES = ("auto", "float32", "float16", "bfloat16", "float64")


def checked_config(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the config of the model `name` without the fields that a file may not choose.

    Raises `ModelError` that lists the fields which describe no model that can be loaded here.
    """
    problems = [f"In config.json of {name}, {problem}." for problem in _problems(config)]
    if problems:
        remedy = "Choose a model that is published unpacked, with its config as its authors wrote it."
        raise ModelError.of([Problem(each, "model.name", remedy) for each in problems[:10]])
    return _kept(config)


def _kept(value: Any) -> Any:
    """The value without the fields that are dropped, at any depth."""
    if isinstance(value, Mapping):
        return {key: _kept(each) for key, each in value.items() if not _DROPPED.fullmatch(key)}
    return [_kept(each) for each in value] if isinstance(value, list) else value


def _problems(config: Mapping[str, Any]) -> Iterator[str]:
    kind = config.get("model_type")
    if kind is not None and not isinstance(kind, str):
        yield f"model_type is not a text but {_kind(kind)}"
    for path, value in _fields(config):
        key = path.rpartition(".")[2]
        if key in ("quantization_config", "compression_config") and value:
            yield (
                f"{path} says that the weights are packed ({_method(value)}), and weights are read as they are: "
                "a run packs them itself where model.quantisation says so"
            )
        elif key in ("dtype", "torch_dtype") and value is not None and _dtype(value) not in _DTYPES:
            yield f"{path} is {str(value)[:40]!r}, and one of {', '.join(_DTYPES)} is possible"
        elif _IDS.fullmatch(key) and not _is_id(value):
            yield f"{path} is {str(value)[:40]!r}, and a whole number from 0 on is expected"
        elif isinstance(value, bool) or not isinstance(value, int | float):
            continue
        elif _COUNTS.fullmatch(key) and value > _MOST_OF_A_COUNT:
            yield f"{path} is {value:,}, and {_MOST_OF_A_COUNT:,} are the most"
        elif isinstance(value, int) and abs(value) > _MOST:
            yield f"{path} is a number of {len(str(abs(value)))} digits"


def _fields(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every field with its dotted path; those inside a field that names the packing are left out."""
    if not isinstance(value, Mapping):
        return
    for key, each in value.items():
        inner = f"{path}.{key}" if path else str(key)
        yield inner, each
        if not inner.endswith("quantization_config"):
            yield from _fields(each, inner)


def _method(value: Any) -> str:
    return str(value.get("quant_method", "unknown"))[:40] if isinstance(value, Mapping) else _kind(value)


def _is_id(value: Any) -> bool:
    ids = value if isinstance(value, list) else [] if value is None else [value]
    return all(isinstance(each, int) and not isinstance(each, bool) and -1 <= each <= _LARGEST_ID for each in ids)


def _dtype(value: Any) -> Any:
    return value.removeprefix("torch.") if isinstance(value, str) else _kind(value)


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a text", bool: "true or false"}.get(type(value), "a number")
