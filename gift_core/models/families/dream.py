"""Dream (arXiv 2508.15487): a Qwen2.5 that looks both ways and still predicts the token after the one it stands on.

Source: the model cards and config.json of Dream-org/Dream-v0-Base-7B and Dream-v0-Instruct-7B.
"""

from __future__ import annotations

from transformers import AutoModelForCausalLM, Qwen2Tokenizer

from gift_core.models.families.family import FAMILY_KEY, Family, Special, SpecialTokens
from gift_core.models.families.layout import PublishedLayout
from gift_core.models.families.llama_body import BODY_LORA
from gift_core.spec import SamplingSpec

_SAME = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "intermediate_size",
    "max_position_embeddings",
    "rope_theta",
    "rms_norm_eps",
    "vocab_size",
    "tie_word_embeddings",
)
_SAME_IF_GIVEN = ("attention_dropout", "initializer_range", "mask_token_id", "bos_token_id", "eos_token_id")

LAYOUT = PublishedLayout(
    model_type="Dream",
    architecture="DreamModel",
    native_type="qwen2",
    code="Dream-org/Dream-v0-Instruct-7B",
    required=tuple((name, name) for name in _SAME),
    optional=tuple((name, name) for name in _SAME_IF_GIVEN),
    fixed={
        # Later models of the name do without the shift, and say so in their architecture only.
        "architectures": (["DreamModel"], None),
        "hidden_act": ("silu", None),
        "rope_scaling": (None,),
        "use_sliding_window": (False, None),
        "use_mrope": (False, None),
        "mlp_bias": (False, None),
    },
    # With a pad_token_id transformers would never train that row of the embedding, which is EOS's. The windows are off,
    # and the authors' code does not read its attention_bias.
    ignored=frozenset({"pad_token_id", "sliding_window", "max_window_layers", "use_cache", "attention_bias"}),
)

CHAT_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}"
    "{% endif %}"
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

DREAM = Family(
    name="dream",
    title="Dream",
    network=AutoModelForCausalLM,
    claims=lambda config: config.get(FAMILY_KEY, config.get("model_type")) in ("dream", "Dream"),
    published=LAYOUT,
    # The published class is this one with another name, and its name alone would ask for remote code.
    tokenizer=Qwen2Tokenizer,
    tokens=SpecialTokens(
        mask=Special("<|mask|>", 151666),
        eos=Special("<|endoftext|>", 151643),
        end_of_turn=Special("<|im_end|>", 151645),
    ),
    chat_template=CHAT_TEMPLATE,
    replaces_template=True,
    logit_shift=1,
    lora=BODY_LORA,
    sampling=SamplingSpec(sampler="dream", length=128, block_length=128, steps=128, remasking="entropy"),
    # The config inherits 131,072 positions from Qwen2.5; the model card says what it was trained with.
    longest_context=2048,
)
