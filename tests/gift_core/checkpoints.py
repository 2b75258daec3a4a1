"""Tiny random checkpoints, written to disk the way each family's authors publish theirs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

WIDTH, LAYERS, HEADS, MLP, CONTEXT = 32, 2, 4, 48, 96
# More rows than there are tokens, as published vocabularies have.
ROWS = 288
# Each file holds a few tensors: the checkpoints are sharded, with an index.
SHARD = "20KB"
LLADA_TOKENS = (
    "<|startoftext|>",
    "<|endoftext|>",
    "<|mdm_mask|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
)
DREAM_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|beginoftext|>", "<|mask|>")


def byte_alphabet() -> dict[str, int]:
    """A vocabulary of bytes: it can spell any text, and needs no training."""
    return {byte: index for index, byte in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}


def byte_tokenizer(special: Sequence[str], **names: str) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE(vocab=byte_alphabet(), merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(special))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def word_tokenizer() -> PreTrainedTokenizerFast:
    """WordPiece over letters and digits with BERT's special tokens: it has no EOS and drops white space."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [chr(code) for code in range(33, 127)]
    words = [*special, *pieces, *(f"##{piece}" for piece in pieces)]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def write(directory: Path, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Path:
    """Config and sharded weights, and a file of code that breaks the test when it is run."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config))
    save_torch_state_dict(dict(weights), directory, max_shard_size=SHARD)
    for code in ("modeling_llada.py", "configuration_llada.py", "modeling_dream.py", "tokenization_dream.py"):
        (directory / code).write_text("raise SystemExit('downloaded code was run')\n")
    return directory


def llada_config(**changes: Any) -> dict[str, Any]:
    """The fields of the published config.json, with small sizes and ids of the small vocabulary."""
    first = len(byte_alphabet())
    ids = {token: first + index for index, token in enumerate(LLADA_TOKENS)}
    return {
        "activation_type": "silu",
        "alibi": False,
        "alibi_bias_max": 8.0,
        "architectures": ["LLaDAModelLM"],
        "attention_dropout": 0.0,
        "attention_layer_norm": False,
        "attention_layer_norm_with_affine": True,
        "auto_map": {
            "AutoConfig": "configuration_llada.LLaDAConfig",
            "AutoModel": "modeling_llada.LLaDAModelLM",
            "AutoModelForCausalLM": "modeling_llada.LLaDAModelLM",
        },
        "bias_for_layer_norm": False,
        "block_group_size": 1,
        "block_type": "llama",
        "d_model": WIDTH,
        "embedding_dropout": 0.0,
        "embedding_size": ROWS,
        "eos_token_id": ids["<|endoftext|>"],
        "flash_attention": False,
        "include_bias": False,
        "include_qkv_bias": False,
        "init_cutoff_factor": None,
        "init_device": "meta",
        "init_fn": "mitchell",
        "init_std": 0.02,
        "input_emb_norm": False,
        "layer_norm_type": "rms",
        "layer_norm_with_affine": True,
        "mask_token_id": ids["<|mdm_mask|>"],
        "max_sequence_length": CONTEXT,
        "mlp_hidden_size": MLP,
        "mlp_ratio": 4,
        "model_type": "llada",
        "multi_query_attention": None,
        "n_heads": HEADS,
        "n_kv_heads": HEADS,
        "n_layers": LAYERS,
        "pad_token_id": ids["<|endoftext|>"],
        "precision": "amp_bf16",
        "residual_dropout": 0.0,
        "rms_norm_eps": 1e-5,
        "rope": True,
        "rope_full_precision": True,
        "rope_theta": 500000.0,
        "scale_logits": False,
        "transformers_version": "4.46.3",
        "use_cache": False,
        "vocab_size": ROWS,
        "weight_tying": False,
    } | changes


def llada_weights(config: Mapping[str, Any], seed: int = 0) -> dict[str, Tensor]:
    width, mlp = config["d_model"], config["mlp_hidden_size"]
    keys = width // config["n_heads"] * (config["n_kv_heads"] or config["n_heads"])
    rows = config["embedding_size"] or config["vocab_size"]
    shapes: dict[str, tuple[int, ...]] = {"wte": (rows, width), "ln_f": (width,), "ff_out": (rows, width)}
    for layer in range(config["n_layers"]):
        shapes |= {
            f"blocks.{layer}.{name}": shape
            for name, shape in {
                "attn_norm": (width,),
                "q_proj": (width, width),
                "k_proj": (keys, width),
                "v_proj": (keys, width),
                "attn_out": (width, width),
                "ff_norm": (width,),
                "ff_proj": (mlp, width),
                "up_proj": (mlp, width),
                "ff_out": (width, mlp),
            }.items()
        }
    if config["weight_tying"]:
        del shapes["ff_out"]
    return random_weights({f"model.transformer.{name}.weight": shape for name, shape in shapes.items()}, seed)


def write_llada(directory: Path, *, seed: int = 0, **changes: Any) -> Path:
    config = llada_config(**changes)
    names = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    # As published: the assistant's header stands behind every conversation.
    template = (
        "{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
        "{{ message['content'] }}<|eot_id|>{% endfor %}<|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    tokenizer = byte_tokenizer(LLADA_TOKENS, **names, chat_template=template)
    write(directory, config, llada_weights(config, seed))
    tokenizer.save_pretrained(directory)
    return directory


def dream_config(**changes: Any) -> dict[str, Any]:
    first = len(byte_alphabet())
    ids = {token: first + index for index, token in enumerate(DREAM_TOKENS)}
    return {
        "architectures": ["DreamModel"],
        "attention_dropout": 0.0,
        "auto_map": {"AutoConfig": "configuration_dream.DreamConfig", "AutoModel": "modeling_dream.DreamModel"},
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|endoftext|>"],
        "hidden_act": "silu",
        "hidden_size": WIDTH,
        "initializer_range": 0.02,
        "intermediate_size": MLP,
        "mask_token_id": ids["<|mask|>"],
        "max_position_embeddings": 131072,
        "max_window_layers": 28,
        "model_type": "Dream",
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "num_key_value_heads": HEADS // 2,
        "pad_token_id": ids["<|endoftext|>"],
        "rms_norm_eps": 1e-6,
        "rope_scaling": None,
        "rope_theta": 1000000.0,
        "sliding_window": None,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "transformers_version": "4.46.2",
        "use_cache": True,
        "use_mrope": False,
        "use_sliding_window": False,
        "vocab_size": ROWS,
    } | changes


def dream_weights(config: Mapping[str, Any], seed: int = 0) -> dict[str, Tensor]:
    width, mlp = config["hidden_size"], config["intermediate_size"]
    keys = width // config["num_attention_heads"] * config["num_key_value_heads"]
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (config["vocab_size"], width),
        "model.norm.weight": (width,),
        "lm_head.weight": (config["vocab_size"], width),
    }
    for layer in range(config["num_hidden_layers"]):
        shapes |= {
            f"model.layers.{layer}.{name}": shape
            for name, shape in {
                "input_layernorm.weight": (width,),
                "self_attn.q_proj.weight": (width, width),
                "self_attn.q_proj.bias": (width,),
                "self_attn.k_proj.weight": (keys, width),
                "self_attn.k_proj.bias": (keys,),
                "self_attn.v_proj.weight": (keys, width),
                "self_attn.v_proj.bias": (keys,),
                "self_attn.o_proj.weight": (width, width),
                "post_attention_layernorm.weight": (width,),
                "mlp.gate_proj.weight": (mlp, width),
                "mlp.up_proj.weight": (mlp, width),
                "mlp.down_proj.weight": (width, mlp),
            }.items()
        }
    return random_weights(shapes, seed)


def write_dream(directory: Path, *, seed: int = 0, **changes: Any) -> Path:
    """With the tokenizer as published: vocabulary and merges of its own class, which is code; no tokenizer.json."""
    config = dream_config(**changes)
    write(directory, config, dream_weights(config, seed))
    alphabet = byte_alphabet()
    (directory / "vocab.json").write_text(json.dumps(alphabet))
    (directory / "merges.txt").write_text("#version: 0.2\n")
    added = {
        str(len(alphabet) + index): {
            "content": token,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": True,
        }
        for index, token in enumerate(DREAM_TOKENS)
    }
    settings = {
        "added_tokens_decoder": added,
        "auto_map": {"AutoTokenizer": ["tokenization_dream.DreamTokenizer", None]},
        "bos_token": "<|beginoftext|>",
        "chat_template": "{{ messages[0]['content'] }}",
        "eos_token": "<|endoftext|>",
        "mask_token": "<|mask|>",
        "model_max_length": 131072,
        "pad_token": "<|endoftext|>",
        "tokenizer_class": "DreamTokenizer",
        "unk_token": None,
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return directory


def native_config(kind: str, **changes: Any) -> PreTrainedConfig:
    sizes = {
        "vocab_size": ROWS,
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS // 2,
        "intermediate_size": MLP,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": 0,
    }
    if kind in ("llama", "qwen2", "qwen3"):
        sizes |= {"head_dim": WIDTH // HEADS, "pad_token_id": None}
    return CONFIG_MAPPING[kind].from_dict(sizes | changes)


def save_random(auto: Any, config: PreTrainedConfig, directory: Path) -> PreTrainedModel:
    torch.manual_seed(0)
    network: PreTrainedModel = auto.from_config(config)
    network.save_pretrained(str(directory), max_shard_size=SHARD)
    return network


def write_masked_lm(directory: Path, kind: str, **changes: Any) -> Path:
    """A BERT-like model; EuroBERT has a tokenizer of bytes, the others one of words."""
    if kind == "eurobert":
        special = ("<|begin_of_text|>", "<|end_of_text|>", "<|mask|>", "<|pad|>")
        names = {"bos_token": special[0], "eos_token": special[1], "mask_token": special[2], "pad_token": special[3]}
        tokenizer = byte_tokenizer(special, **names)
        # The published checkpoint brings code along, though transformers has the architecture.
        changes |= {"mask_token_id": tokenizer.mask_token_id, "auto_map": {"AutoModel": "modeling_eurobert.X"}}
    else:
        tokenizer = word_tokenizer()
    if kind == "modernbert":
        changes |= {"cls_token_id": 2, "sep_token_id": 3}
    save_random(AutoModelForMaskedLM, native_config(kind, **changes), directory)
    tokenizer.save_pretrained(directory)
    return directory


def write_causal(directory: Path, kind: str, *, mask: bool = False, **changes: Any) -> Path:
    save_random(AutoModelForCausalLM, native_config(kind, **changes), directory)
    names = {"eos_token": "<|endoftext|>"} | ({"mask_token": "<|mask|>"} if mask else {})
    byte_tokenizer(["<|endoftext|>", *(["<|mask|>"] if mask else [])], **names).save_pretrained(directory)
    return directory


# One checkpoint of each kind that is exercised from loading to saving.
WRITERS: Mapping[str, Callable[[Path], Path]] = {
    "llada": write_llada,
    "dream": write_dream,
    "bert": lambda directory: write_masked_lm(directory, "bert"),
    "modernbert": lambda directory: write_masked_lm(directory, "modernbert"),
    "eurobert": lambda directory: write_masked_lm(directory, "eurobert"),
    "llama": lambda directory: write_causal(directory, "llama", mask=True, is_causal=False),
    "qwen2": lambda directory: write_causal(directory, "qwen2", mask=True, is_causal=False, logit_shift=1),
    "qwen3": lambda directory: write_causal(directory, "qwen3", mask=True, is_causal=False),
}


def random_weights(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=draws) * 0.2 + (1.0 if "norm" in name or "ln_f" in name else 0.0)
        for name, shape in shapes.items()
    }
