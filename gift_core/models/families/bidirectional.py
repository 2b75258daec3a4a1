"""Causal models that were converted to look both ways: Llama, Qwen2 and Qwen3. The bundled tiny base is one."""

from __future__ import annotations

from typing import Any

from transformers import AutoModelForCausalLM

from gift_core.errors import ModelError
from gift_core.models.families.family import FAMILY_KEY, Family
from gift_core.models.families.layout import Config
from gift_core.models.families.llama_body import BODY_LORA
from gift_core.spec import SamplingSpec

# The architectures whose attention transformers builds both ways when the config says so.
CONVERTIBLE = ("llama", "qwen2", "qwen3")
# What the conversions of dLLM (A2D) are called: the same fields and weights, the direction in the name.
_A2D = "a2d-"


def _claims(config: Config) -> bool:
    kind = str(config.get("model_type", ""))
    named = kind.startswith(_A2D) and kind.removeprefix(_A2D) in CONVERTIBLE
    return FAMILY_KEY not in config and (named or (kind in CONVERTIBLE and config.get("is_causal") is False))


def _adapt(config: Config) -> dict[str, Any]:
    if config.get("use_sliding_window"):
        raise ModelError(
            "config.json has use_sliding_window: True, and bidirectional sliding windows are not supported.",
            field="model.name",
            remedy="Choose a model with full attention.",
        )
    return {**config, "model_type": str(config["model_type"]).removeprefix(_A2D), "is_causal": False}


BIDIRECTIONAL = Family(
    name="bidirectional",
    title="Bidirectional conversion",
    network=AutoModelForCausalLM,
    claims=_claims,
    adapt=_adapt,
    # A model without a template has learned no other form of a conversation than text.
    chat_template="{% for message in messages %}{{ message['content'] + '\n' }}{% endfor %}",
    lora=BODY_LORA,
    sampling=SamplingSpec(),
)
