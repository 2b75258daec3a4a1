"""LoRA: which projections get an adapter. The output head never does."""

from __future__ import annotations

from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

from gift_core.spec import LoraSpec

_TARGETS: dict[str, str | list[str]] = {
    "attention": ["q_proj", "k_proj", "v_proj"],
    "all_linear": "all-linear",
}


def add_lora(network: PreTrainedModel, lora: LoraSpec, base_name: str) -> PeftModel:
    """Freeze `network` and add adapters; the saved adapter names `base_name` as its base."""
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=_TARGETS[lora.targets],
        base_model_name_or_path=base_name,
    )
    network.name_or_path = base_name
    return get_peft_model(network, config)
