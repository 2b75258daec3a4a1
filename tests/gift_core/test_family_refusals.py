"""What is refused rather than loaded wrongly, and what the reason says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from gift_core.errors import ModelError
from gift_core.models.families.registry import family_of
from gift_core.models.loading import load_base, read_config
from tests.gift_core import checkpoints
from tests.gift_core.checkpoints import WRITERS
from tests.gift_core.looking import logits, refusal, rewrite, weights_in


def test_missing_unexpected_and_misshapen_weights_are_listed_by_their_published_names(tmp_path: Path) -> None:
    folder = checkpoints.write_llada(tmp_path / "it")
    weights = weights_in(folder)
    del weights["model.transformer.blocks.1.ff_proj.weight"]
    weights["model.transformer.wpe.weight"] = torch.zeros(4, 4)
    weights["model.transformer.blocks.0.attn_out.weight"] = torch.zeros(3, 3)
    rewrite(folder, weights)
    message = refusal(folder)
    assert "missing model.transformer.blocks.1.ff_proj.weight" in message
    assert "unexpected model.transformer.wpe.weight" in message
    assert "of another shape model.transformer.blocks.0.attn_out.weight" in message


@pytest.mark.parametrize(
    ("name", "changes", "named"),
    [
        ("llada", {"alibi": True}, "alibi: True"),
        ("llada", {"layer_norm_type": "default"}, "layer_norm_type: 'default'"),
        ("llada", {"include_qkv_bias": True}, "include_qkv_bias: True"),
        ("llada", {"block_group_size": 2}, "block_group_size: 2"),
        ("llada", {"rope_scaling": {"type": "linear"}}, "rope_scaling"),
        ("llada", {"attention_layer_norm": True}, "attention_layer_norm: True"),
        ("llada", {"mixture": 8}, "mixture: 8, of which nothing is known"),
        ("llada", {"mlp_hidden_size": None}, "no mlp_hidden_size"),
        ("dream", {"use_mrope": True}, "use_mrope: True"),
        ("dream", {"use_sliding_window": True}, "use_sliding_window: True"),
        ("dream", {"architectures": ["DreamForCausalLM"]}, "architectures"),
        ("dream", {"block_size": 32}, "block_size: 32, of which nothing is known"),
    ],
)
def test_a_field_that_would_change_the_mathematics_is_refused_by_name(
    tmp_path: Path, name: str, changes: dict[str, Any], named: str
) -> None:
    folder = WRITERS[name](tmp_path / "it")
    config = read_config(folder) | changes
    (folder / "config.json").write_text(json.dumps(config))
    assert named in refusal(folder)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"model_type": "llama"}, "its attention cannot see the tokens to the right"),
        ({"model_type": "gpt2"}, "causal language model, and gpt2 cannot be converted"),
        ({"model_type": "bert", "is_decoder": True}, "causal language model"),
        ({"model_type": "t5"}, "encoder-decoder"),
        ({"model_type": "bart"}, "encoder-decoder"),
        ({"model_type": "SomethingNew", "auto_map": {"AutoModel": "code.Model"}}, "such code is never run"),
        ({"model_type": "vit"}, "unknown model type 'vit'"),
        ({}, "unknown model type None"),
    ],
)
def test_what_is_no_masked_diffusion_model_is_refused_with_the_reason(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        family_of(config, "it")


def test_a_head_that_is_more_than_a_projection_is_refused(tmp_path: Path) -> None:
    sizes = {"embedding_size": 16, "intra_bottleneck_size": 32, "true_hidden_size": 32}
    folder = checkpoints.write_masked_lm(tmp_path / "it", "mobilebert", **sizes)
    assert "do not come from its output projection alone" in refusal(folder)


def test_bert_may_bring_the_heads_of_its_pretraining(tmp_path: Path) -> None:
    folder = checkpoints.write_masked_lm(tmp_path / "it", "bert")
    expected = logits(load_base(str(folder)))
    others = {"bert.pooler.dense.weight": torch.zeros(32, 32), "cls.seq_relationship.bias": torch.zeros(2)}
    rewrite(folder, weights_in(folder) | others)
    assert torch.equal(logits(load_base(str(folder))), expected)


def test_pickled_weights_are_refused(folder: Path) -> None:
    for file in folder.glob("*.safetensors*"):
        file.unlink()
    torch.save({}, folder / "pytorch_model.bin")
    assert "there is no model.safetensors" in refusal(folder)


def test_a_shard_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = checkpoints.write_llada(tmp_path / "it")
    shard = next(folder.glob("model-00002-*"))
    shard.unlink()
    assert f"there is no {shard.name}" in refusal(folder)


@pytest.mark.parametrize("length", [0, 1000])
def test_weights_that_were_cut_short_are_an_error(tmp_path: Path, length: int) -> None:
    folder = checkpoints.write_llada(tmp_path / "it")
    shard = next(folder.glob("model-00002-*"))
    shard.write_bytes(shard.read_bytes()[:length])
    message = refusal(folder)
    assert "cannot be read" in message
    assert "cut short has to be fetched again" in message


def test_a_folder_without_a_tokenizer_says_so(tmp_path: Path) -> None:
    folder = checkpoints.write_llada(tmp_path / "it")
    (folder / "tokenizer.json").unlink()
    assert "there is no tokenizer.json" in refusal(folder)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"num_hidden_layers": "many"}, "does not describe a model"),
        ({"num_attention_heads": 0}, "does not describe a model"),
        ({"hidden_size": 10**9}, "describes a model of 1,061,000,000,008 numbers, and its weights are 33,952"),
    ],
)
def test_sizes_that_make_no_model_are_an_error(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    folder = WRITERS["llama"](tmp_path / "it")
    (folder / "config.json").write_text(json.dumps(read_config(folder) | changes))
    assert named in refusal(folder)


def test_a_config_that_is_no_json_is_an_error(tmp_path: Path) -> None:
    folder = checkpoints.write_llada(tmp_path / "it")
    (folder / "config.json").write_text("model_type: llada")
    assert "cannot be read" in refusal(folder)
