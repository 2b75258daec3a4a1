"""LoRA: which projections get an adapter. The output head never does."""

from __future__ import annotations

from peft import LoraConfig, PeftModel, get_peft_model

from gift_core.models.hub import HubName
from gift_core.models.loading import DiffusionModel
from gift_core.spec import LoraSpec


def add_lora(model: DiffusionModel, lora: LoraSpec, base_name: str) -> PeftModel:
    """Freeze `model` and add its family's adapters; the saved adapter names `base_name` as its base.

    A base of the Hub is named by repository and commit, in the two fields in which peft looks for them.
    """
    hub = HubName.parse(base_name)
    name = hub.repository if hub and hub.revision else base_name
    targets = model.family.lora[lora.targets]
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        base_model_name_or_path=name,
        revision=hub.revision if hub else None,
    )
    # peft takes the name of the network for that of its base.
    model.network.name_or_path = name
    return get_peft_model(model.network, config)
