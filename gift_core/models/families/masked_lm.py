"""Masked language models such as BERT, ModernBERT and EuroBERT: bidirectional from the start."""

from __future__ import annotations

from transformers import AutoModelForMaskedLM, PreTrainedConfig
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

from gift_core.models.families.family import Family
from gift_core.models.families.layout import Config
from gift_core.spec import SamplingSpec

# They count positions from behind the padding token's id.
_COUNT_FROM_PADDING = frozenset(
    {
        "camembert",
        "data2vec-text",
        "esm",
        "ibert",
        "longformer",
        "luke",
        "mpnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)


def _claims(config: Config) -> bool:
    kind = config.get("model_type")
    return (
        kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES
        and kind not in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
        and not config.get("is_decoder")
    )


def _reserved_positions(config: PreTrainedConfig) -> int:
    return int(config.pad_token_id) + 1 if config.model_type in _COUNT_FROM_PADDING else 0


MASKED_LM = Family(
    name="masked_lm",
    title="Masked language model",
    network=AutoModelForMaskedLM,
    claims=_claims,
    # The way two texts are told apart in pretraining; a newline where the tokenizer has no separator.
    chat_template="{{ cls_token or bos_token or '' }}"
    "{% for message in messages %}{{ message['content'] + (sep_token or '\n') }}{% endfor %}",
    lora={
        "attention": ("query", "key", "value", "q_proj", "k_proj", "v_proj", "q_lin", "k_lin", "v_lin", "Wqkv"),
        "all_linear": "all-linear",
    },
    sampling=SamplingSpec(length=64, block_length=32, steps=64),
    # Heads that BERT was pretrained with besides the one that fills in masks.
    unread=(r"(^|\.)pooler\.", r"^cls\.seq_relationship\."),
    reserved_positions=_reserved_positions,
    checks_head=True,
)
