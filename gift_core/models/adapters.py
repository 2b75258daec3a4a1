"""LoRA: which projections get an adapter. The output head never does."""

from __future__ import annotations

from peft import LoraConfig, PeftModel, get_peft_model

from gift_core.models.loading import DiffusionModel
from gift_core.spec import LoraSpec


def add_lora(model: DiffusionModel, lora: LoraSpec, base_name: str) -> PeftModel:
    """Freeze `model` and add its family's adapters; the saved adapter names `base_name` as its base."""
    targets = model.family.lora[lora.targets]
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        base_model_name_or_path=base_name,
    )
    model.network.name_or_path = base_name
    return get_peft_model(model.network, config)
