"""What families whose body is a Llama or a Qwen share."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gift_core.spec import LoraTargets

_ATTENTION = ("q_proj", "k_proj", "v_proj")
BODY_LORA: Mapping[LoraTargets, tuple[str, ...]] = MappingProxyType(
    {"attention": _ATTENTION, "all_linear": (*_ATTENTION, "o_proj", "gate_proj", "up_proj", "down_proj")}
)
