"""LLaDA and Dream in plain torch, written from their published conventions: what native loading is held against."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]


def llada_logits(config: Mapping[str, Any], weights: Weights, ids: Tensor) -> Tensor:
    """Pre-norm blocks, rotation by halves, no causal mask, silu(ff_proj) * up_proj: [batch, length, rows]."""
    transformer = {key.removeprefix("model.transformer."): value for key, value in weights.items()}
    eps, heads = config["rms_norm_eps"], config["n_heads"]
    x = transformer["wte.weight"][ids]
    for layer in range(config["n_layers"]):
        block = {
            key.removeprefix(f"blocks.{layer}."): value
            for key, value in transformer.items()
            if key.startswith(f"blocks.{layer}.")
        }
        h = _norm(x, block["attn_norm.weight"], eps)
        q, k, v = (h @ block[f"{name}.weight"].T for name in ("q_proj", "k_proj", "v_proj"))
        attended = _attention(q, k, v, heads, config["n_kv_heads"] or heads, config["rope_theta"])
        x = x + attended @ block["attn_out.weight"].T
        h = _norm(x, block["ff_norm.weight"], eps)
        gate = torch.nn.functional.silu(h @ block["ff_proj.weight"].T)
        x = x + (gate * (h @ block["up_proj.weight"].T)) @ block["ff_out.weight"].T
    head = transformer["wte.weight" if config["weight_tying"] else "ff_out.weight"]
    return _norm(x, transformer["ln_f.weight"], eps) @ head.T


def dream_logits(config: Mapping[str, Any], weights: Weights, ids: Tensor) -> Tensor:
    """What Dream says about each position: its network's logits one position to the left; the first keeps its own."""
    eps, heads = config["rms_norm_eps"], config["num_attention_heads"]
    x = weights["model.embed_tokens.weight"][ids]
    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}."
        h = _norm(x, weights[f"{name}input_layernorm.weight"], eps)
        q, k, v = (
            h @ weights[f"{name}self_attn.{part}_proj.weight"].T + weights[f"{name}self_attn.{part}_proj.bias"]
            for part in "qkv"
        )
        attended = _attention(q, k, v, heads, config["num_key_value_heads"], config["rope_theta"])
        x = x + attended @ weights[f"{name}self_attn.o_proj.weight"].T
        h = _norm(x, weights[f"{name}post_attention_layernorm.weight"], eps)
        gate = torch.nn.functional.silu(h @ weights[f"{name}mlp.gate_proj.weight"].T)
        x = x + (gate * (h @ weights[f"{name}mlp.up_proj.weight"].T)) @ weights[f"{name}mlp.down_proj.weight"].T
    logits = _norm(x, weights["model.norm.weight"], eps) @ weights["lm_head.weight"].T
    return torch.cat([logits[:, :1], logits[:, :-1]], 1)


def _norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return weight * x / (x.square().mean(-1, keepdim=True) + eps).sqrt()


def _attention(q: Tensor, k: Tensor, v: Tensor, heads: int, kv_heads: int, theta: float) -> Tensor:
    batch, length, width = q.shape
    size = width // heads
    q = _rotated(q.view(batch, length, heads, size), theta)
    k = _rotated(k.view(batch, length, kv_heads, size), theta).repeat_interleave(heads // kv_heads, 2)
    v = v.view(batch, length, kv_heads, size).repeat_interleave(heads // kv_heads, 2)
    scores = torch.einsum("bihd,bjhd->bhij", q, k) / math.sqrt(size)
    return torch.einsum("bhij,bjhd->bihd", scores.softmax(-1), v).reshape(batch, length, width)


def _rotated(x: Tensor, theta: float) -> Tensor:
    """The pair (i, i + half) turned by position / theta ** (i / half)."""
    half = x.shape[-1] // 2
    angles = torch.arange(x.shape[1])[:, None] / theta ** (torch.arange(half) / half)
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    left, right = x[..., :half], x[..., half:]
    return torch.cat([left * cos - right * sin, right * cos + left * sin], -1)
