"""Which family a model belongs to, told from its config.json, or why it belongs to none."""

from __future__ import annotations

from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

from gift_core.errors import ModelError
from gift_core.models.families.bidirectional import BIDIRECTIONAL, CONVERTIBLE
from gift_core.models.families.dream import DREAM
from gift_core.models.families.family import Family
from gift_core.models.families.layout import Config
from gift_core.models.families.llada import LLADA
from gift_core.models.families.masked_lm import MASKED_LM

FAMILIES: tuple[Family, ...] = (LLADA, DREAM, BIDIRECTIONAL, MASKED_LM)


def family_of(config: Config, name: str) -> Family:
    """The family of the model `name`; raises `ModelError` that says why there is none."""
    for family in FAMILIES:
        if family.claims(config):
            return family
    reason, remedy = _refusal(config)
    raise ModelError(f"{name} {reason}.", field="model.name", remedy=remedy)


def _refusal(config: Config) -> tuple[str, str]:
    kind = config.get("model_type")
    titles = ", ".join(family.title for family in FAMILIES)
    if kind in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES or config.get("is_encoder_decoder"):
        return "is an encoder-decoder: its output is written from left to right", f"Choose one of: {titles}."
    if kind in CONVERTIBLE:
        return (
            "is a causal language model: its attention cannot see the tokens to the right",
            'Choose a masked diffusion model (its config.json says "is_causal": false), or make one: gift convert.',
        )
    if kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or config.get("is_decoder"):
        return (
            f"is a causal language model, and {kind} cannot be converted to look both ways",
            f"Choose one of: {titles}; gift convert makes one from {', '.join(CONVERTIBLE)}.",
        )
    if "auto_map" in config:
        return (
            f"is defined by code that comes with it (model type {kind!r}), and such code is never run",
            f"Choose one of: {titles}.",
        )
    return f"has the unknown model type {kind!r}", f"Choose one of: {titles}."
