"""LLaDA (arXiv 2502.09992) and LLaDA 1.5: a Llama that looks both ways, under names that come from OLMo.

Source: the model cards and config.json of GSAI-ML/LLaDA-8B-Base, LLaDA-8B-Instruct and LLaDA-1.5.
"""

from __future__ import annotations

from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from gift_core.models.families.family import FAMILY_KEY, Family, Special, SpecialTokens
from gift_core.models.families.layout import PublishedLayout
from gift_core.models.families.llama_body import BODY_LORA
from gift_core.spec import SamplingSpec

_BLOCK, _LAYER = "model.transformer.blocks.{n}.", "model.layers.{n}."

LAYOUT = PublishedLayout(
    model_type="llada",
    architecture="LLaDAModelLM",
    native_type="llama",
    code="GSAI-ML/LLaDA-8B-Instruct",
    required=(
        ("d_model", "hidden_size"),
        ("n_layers", "num_hidden_layers"),
        ("n_heads", "num_attention_heads"),
        ("n_heads", "num_key_value_heads"),
        ("mlp_hidden_size", "intermediate_size"),
        ("max_sequence_length", "max_position_embeddings"),
        ("rope_theta", "rope_theta"),
        ("rms_norm_eps", "rms_norm_eps"),
        ("vocab_size", "vocab_size"),
        ("weight_tying", "tie_word_embeddings"),
    ),
    optional=(
        ("n_kv_heads", "num_key_value_heads"),
        # Rows are added to the vocabulary to make a rounder number.
        ("embedding_size", "vocab_size"),
        ("attention_dropout", "attention_dropout"),
        ("mask_token_id", "mask_token_id"),
        ("eos_token_id", "eos_token_id"),
    ),
    fixed={
        "block_type": ("llama",),
        "block_group_size": (1, None),
        "activation_type": ("silu",),
        "layer_norm_type": ("rms",),
        "layer_norm_with_affine": (True, None),
        "bias_for_layer_norm": (False, None),
        "include_bias": (False, None),
        "include_qkv_bias": (False, None),
        "rope": (True,),
        "rope_scaling": (None,),
        "alibi": (False, None),
        "multi_query_attention": (False, None),
        "attention_layer_norm": (False, None),
        "input_emb_norm": (False, None),
        "scale_logits": (False, None),
        "residual_dropout": (0, None),
        "embedding_dropout": (0, None),
    },
    ignored=frozenset(
        {
            "alibi_bias_max",
            "attention_layer_norm_with_affine",
            "flash_attention",
            "init_cutoff_factor",
            "init_device",
            "init_fn",
            "init_std",
            "mlp_ratio",
            # With it transformers would never train that row of the embedding, which is EOS's.
            "pad_token_id",
            "precision",
            # The same in fp32; in bf16 the last bits differ.
            "rope_full_precision",
            "use_cache",
        }
    ),
    modules=(
        ("model.transformer.wte", "model.embed_tokens"),
        ("model.transformer.ln_f", "model.norm"),
        ("model.transformer.ff_out", "lm_head"),
        (f"{_BLOCK}attn_norm", f"{_LAYER}input_layernorm"),
        (f"{_BLOCK}q_proj", f"{_LAYER}self_attn.q_proj"),
        (f"{_BLOCK}k_proj", f"{_LAYER}self_attn.k_proj"),
        (f"{_BLOCK}v_proj", f"{_LAYER}self_attn.v_proj"),
        (f"{_BLOCK}attn_out", f"{_LAYER}self_attn.o_proj"),
        (f"{_BLOCK}ff_norm", f"{_LAYER}post_attention_layernorm"),
        (f"{_BLOCK}ff_proj", f"{_LAYER}mlp.gate_proj"),
        (f"{_BLOCK}up_proj", f"{_LAYER}mlp.up_proj"),
        (f"{_BLOCK}ff_out", f"{_LAYER}mlp.down_proj"),
    ),
)

# The published template puts the assistant's header behind every conversation, finished ones too: a model that is
# trained on it learns to go on talking after its end of turn.
CHAT_TEMPLATE = (
    "{{ '<|startoftext|>' }}"
    "{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] + '<|eot_id|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)

LLADA = Family(
    name="llada",
    title="LLaDA",
    network=AutoModelForCausalLM,
    claims=lambda config: config.get(FAMILY_KEY, config.get("model_type")) == "llada",
    published=LAYOUT,
    tokenizer=PreTrainedTokenizerFast,
    tokens=SpecialTokens(
        mask=Special("<|mdm_mask|>", 126336),
        eos=Special("<|endoftext|>", 126081),
        end_of_turn=Special("<|eot_id|>", 126348),
    ),
    chat_template=CHAT_TEMPLATE,
    replaces_template=True,
    lora=BODY_LORA,
    sampling=SamplingSpec(length=128, block_length=32, steps=128),
)
