"""Every family from its published layout to a trained model and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM
from transformers.utils import is_flash_attn_2_available

from gift_core.data.tokenisation import Encoder
from gift_core.errors import ModelError
from gift_core.models.adapters import add_lora
from gift_core.models.families.dream import DREAM
from gift_core.models.families.llada import LLADA
from gift_core.models.families.registry import FAMILIES, family_of
from gift_core.models.fingerprint import fingerprint
from gift_core.models.forward import logits_at
from gift_core.models.loading import (
    DiffusionModel,
    context_length,
    load_base,
    load_checkpoint,
    load_tokenizer,
    open_checkpoint,
    read_config,
)
from gift_core.models.saving import save_checkpoint, save_published
from gift_core.run import run_training
from gift_core.sampling import denoise
from gift_core.spec import LoraSpec, LoraTargets, RunSpec
from tests.gift_core import checkpoints, reference
from tests.gift_core.checkpoints import WRITERS

PUBLISHED = ("llada", "dream")
IDS = torch.arange(5, 29).view(2, 12)


@pytest.fixture(params=WRITERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(kind: str, tmp_path: Path) -> Path:
    return WRITERS[kind](tmp_path / kind)


def logits(model: DiffusionModel, ids: torch.Tensor = IDS) -> torch.Tensor:
    with torch.no_grad():
        return model.network(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_base(str(folder))
    assert all(problem.field == "model.name" for problem in caught.value.problems)
    return str(caught.value)


# What is computed.


@pytest.mark.parametrize(
    "changes",
    [{}, {"n_kv_heads": 2}, {"n_kv_heads": None}, {"weight_tying": True}, {"embedding_size": None}],
    ids=str,
)
def test_llada_computes_what_its_published_conventions_say(tmp_path: Path, changes: dict[str, Any]) -> None:
    config = checkpoints.llada_config(**changes)
    model = load_base(str(checkpoints.write_llada(tmp_path / "it", **changes)))
    expected = reference.llada_logits(config, checkpoints.llada_weights(config), IDS)
    torch.testing.assert_close(logits(model), expected, rtol=1e-5, atol=1e-5)
    assert model.logit_shift == 0


def test_dream_is_read_one_position_to_the_left(tmp_path: Path) -> None:
    config = checkpoints.dream_config()
    model = load_base(str(checkpoints.write_dream(tmp_path / "it")))
    expected = reference.dream_logits(config, checkpoints.dream_weights(config), IDS)
    wanted = torch.ones_like(IDS, dtype=torch.bool)
    wanted[:, 0] = False
    with torch.no_grad():
        read = logits_at(model.network, IDS, torch.ones_like(IDS), wanted, model.logit_shift)
    torch.testing.assert_close(read, expected[:, 1:].flatten(0, 1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("attention", ["eager", "sdpa", "flash_attention_2"])
def test_an_earlier_logit_sees_a_later_token(folder: Path, attention: str) -> None:
    if attention == "flash_attention_2" and not (is_flash_attn_2_available() and torch.cuda.is_available()):
        pytest.skip("flash attention needs a GPU and the package flash-attn")
    model = load_base(str(folder))
    model.network.set_attn_implementation(attention)
    changed = IDS.clone()
    changed[:, -1] = 41
    assert (logits(model)[:, 0] - logits(model, changed)[:, 0]).abs().max() > 1e-5


def test_padding_does_not_change_a_row(folder: Path) -> None:
    model = load_base(str(folder))
    padded = torch.nn.functional.pad(IDS, (0, 5), value=model.eos_id)
    mask = torch.nn.functional.pad(torch.ones_like(IDS), (0, 5))
    with torch.no_grad():
        together = model.network(input_ids=padded, attention_mask=mask).logits[:, : IDS.shape[1]]
    torch.testing.assert_close(together, logits(model), rtol=1e-4, atol=1e-5)


def test_only_what_is_read_is_computed_and_it_is_the_same(folder: Path) -> None:
    model = load_base(str(folder))
    wanted = torch.zeros_like(IDS, dtype=torch.bool)
    wanted[0, 3:6] = wanted[1, 7] = True
    with torch.no_grad():
        read = logits_at(model.network, IDS, torch.ones_like(IDS), wanted, 0)
    torch.testing.assert_close(read, logits(model)[wanted], rtol=1e-5, atol=1e-5)


# Training, and what is left of it on disk.


def run_spec(folder: Path, data: Path, **changes: Any) -> RunSpec:
    """One step on six short examples."""
    rows = [{"prompt": f"add {i} and 1", "response": f"{i + 1}"} for i in range(6)]
    data.write_text("\n".join(map(json.dumps, rows)))
    small = {
        "model.name": str(folder),
        "data.source": {"kind": "file", "dataset": str(data)},
        "data.held_out": 2,
        "data.max_length": 96,
        "sampling": {"length": 8, "block_length": 8, "steps": 4},
        "training.lora.rank": 2,
        "training.epochs": 1,
        "training.batch_size": 6,
        "training.precision": "fp32",
        "training.learning_rate": 0.01,
        "training.warmup_share": 0.0,
    }
    return RunSpec().replace(small | changes)


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_a_run_from_published_weights_to_a_checkpoint_and_back(
    kind: str, folder: Path, tmp_path: Path, adapter: str
) -> None:
    spec = run_spec(folder, tmp_path / "data.jsonl", **{"training.adapter": adapter})
    assert run_training(spec, tmp_path / "run", Path)["steps"] == 1
    before, trained = load_base(str(folder)), open_checkpoint(str(tmp_path / "run"))
    assert not torch.equal(logits(trained), logits(before))
    assert (trained.family, trained.logit_shift, trained.mask_id) == (before.family, before.logit_shift, before.mask_id)
    prompt = Encoder(trained.tokenizer).prompt("add 2 and 1")
    answer = denoise(trained, [prompt], spec.sampling)
    save_checkpoint(trained, tmp_path / "saved")
    kept = load_checkpoint(tmp_path / "saved")
    assert torch.equal(logits(kept), logits(trained))
    assert fingerprint(kept) == fingerprint(trained)
    if kind in PUBLISHED:
        save_published(trained, tmp_path / "published", shard_size=checkpoints.SHARD)
        kept = load_base(str(tmp_path / "published"))
        assert torch.equal(logits(kept), logits(trained))
    assert Encoder(kept.tokenizer).prompt("add 2 and 1") == prompt
    assert denoise(kept, [prompt], spec.sampling) == answer


def test_an_adapter_is_trained_on_a_base_that_stays_in_bf16(tmp_path: Path) -> None:
    folder = in_bf16(checkpoints.write_llada(tmp_path / "it"))
    changes = {"training.adapter": "lora", "training.precision": "bf16", "objective.probe": "frozen"}
    run_training(run_spec(folder, tmp_path / "data.jsonl", **changes), tmp_path / "run", Path)
    before, trained = load_base(str(folder)), open_checkpoint(str(tmp_path / "run"))
    assert trained.network.dtype == torch.bfloat16
    assert not torch.equal(logits(trained), logits(before))
    save_published(trained, tmp_path / "published")
    assert torch.equal(logits(load_base(str(tmp_path / "published"))), logits(trained))


def test_an_adapter_is_trained_on_a_base_in_4_bits(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    folder = checkpoints.write_llada(tmp_path / "it")
    changes = {"training.adapter": "lora", "model.quantisation": "nf4"}
    run_training(run_spec(folder, tmp_path / "data.jsonl", **changes), tmp_path / "run", Path)
    before, trained = load_base(str(folder)), open_checkpoint(str(tmp_path / "run"))
    assert not torch.equal(logits(trained), logits(before))


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_written_back_has_the_published_names_and_config(tmp_path: Path, name: str) -> None:
    source = WRITERS[name](tmp_path / "source")
    save_published(load_base(str(source)), tmp_path / "back", shard_size=checkpoints.SHARD)
    weights, back = (weights_in(folder) for folder in (source, tmp_path / "back"))
    assert weights.keys() == back.keys()
    assert all(torch.equal(weights[key], back[key]) for key in weights)
    config, written = read_config(source), read_config(tmp_path / "back")
    code = {"llada": LLADA, "dream": DREAM}[name].published.code
    assert written == config | {"auto_map": {key: f"{code}--{where}" for key, where in config["auto_map"].items()}}


def weights_in(folder: Path) -> dict[str, torch.Tensor]:
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    assert len(set(index.values())) > 1
    return {key: load_file(folder / file)[key] for key, file in index.items()}


def in_bf16(folder: Path) -> Path:
    rewrite(folder, {key: value.bfloat16() for key, value in weights_in(folder).items()})
    return folder


def rewrite(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """Put other weights in the place of those of a checkpoint."""
    for file in folder.glob("*.safetensors*"):
        file.unlink()
    checkpoints.write(folder, read_config(folder), weights)


def test_plain_transformers_loads_a_native_checkpoint(folder: Path, tmp_path: Path) -> None:
    model = load_base(str(folder))
    save_checkpoint(model, tmp_path / "saved")
    auto = AutoModelForMaskedLM if model.family.checks_head else AutoModelForCausalLM
    plain = auto.from_pretrained(str(tmp_path / "saved"), trust_remote_code=False).eval()
    assert torch.equal(plain(input_ids=IDS).logits, model.network(input_ids=IDS).logits)


def test_a_family_without_a_layout_of_its_own_says_so(tmp_path: Path, tiny: DiffusionModel) -> None:
    with pytest.raises(ModelError, match="no layout but transformers' own"):
        save_published(tiny, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_weights_stay_as_published_unless_another_dtype_is_asked_for(tmp_path: Path) -> None:
    folder = in_bf16(checkpoints.write_llada(tmp_path / "it"))
    assert load_base(str(folder)).network.dtype == torch.bfloat16
    assert load_base(str(folder), dtype="fp32").network.dtype == torch.float32


@pytest.mark.parametrize("targets", ["attention", "all_linear"])
def test_no_adapter_touches_the_head(kind: str, folder: Path, targets: LoraTargets) -> None:
    model = load_base(str(folder))
    head = model.network.get_output_embeddings()
    adapted = add_lora(model, LoraSpec(rank=2, targets=targets), "base")
    assert adapted.get_base_model().get_output_embeddings() is head
    assert not hasattr(head, "lora_A")
    assert sum(hasattr(module, "lora_A") for module in adapted.modules()) >= checkpoints.LAYERS
    if targets == "attention":
        assert not any("mlp" in name for name, module in adapted.named_modules() if hasattr(module, "lora_A"))


# Tokens and templates.


def test_the_published_ids_are_the_defaults() -> None:
    found = {
        family.name: (family.tokens.mask.id, family.tokens.eos.id, family.tokens.end_of_turn.id)
        for family in FAMILIES
        if family.tokens
    }
    assert found == {"llada": (126336, 126081, 126348), "dream": (151666, 151643, 151645)}


def test_the_prompt_is_a_strict_prefix_of_the_conversation(folder: Path) -> None:
    tokenizer = load_tokenizer(str(folder))
    question = [{"role": "user", "content": "2 + 2?"}]
    prompt = tokenizer.apply_chat_template(question, tokenize=False, add_generation_prompt=True)
    answered = [*question, {"role": "assistant", "content": "4"}]
    whole = tokenizer.apply_chat_template(answered, tokenize=False)
    assert whole.startswith(prompt)
    rest = whole.removeprefix(prompt)
    assert rest.startswith("4")
    assert rest.count("assistant") == 0


@pytest.mark.parametrize(
    ("name", "prompt", "end"),
    [
        (
            "llada",
            "<|startoftext|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
            "<|eot_id|>",
        ),
        (
            "dream",
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
            "<|im_start|>assistant\n",
            "<|im_end|>",
        ),
        ("bert", "[CLS] hi [SEP]", "[SEP]"),
        ("eurobert", "<|begin_of_text|>hi\n", "<|end_of_text|>"),
        ("qwen3", "hi\n", "<|endoftext|>"),
    ],
)
def test_prompt_and_answer_are_written_as_the_family_does(tmp_path: Path, name: str, prompt: str, end: str) -> None:
    tokenizer = load_tokenizer(str(WRITERS[name](tmp_path / name)))
    encoder = Encoder(tokenizer)
    assert tokenizer.decode(encoder.prompt("hi")) == prompt
    response, tail = encoder.response("ok", "one", 8)
    assert tokenizer.decode(response[-2:]) == end + tokenizer.eos_token or end == tokenizer.eos_token
    assert (tail, response[-1]) == (1, tokenizer.eos_token_id)


def test_a_template_of_its_own_is_kept_unless_it_loses_the_text(tmp_path: Path) -> None:
    folder = WRITERS["llama"](tmp_path / "it")
    template = folder / "chat_template.jinja"
    template.write_text("Q: {{ messages[0]['content'] }} A:")
    tokenizer = load_tokenizer(str(folder))
    assert tokenizer.decode(Encoder(tokenizer).prompt("hi")) == "Q: hi A:"
    template.write_text("Q and A")
    tokenizer = load_tokenizer(str(folder))
    assert tokenizer.decode(Encoder(tokenizer).prompt("hi")) == "hi\n"


def test_positions_that_cannot_be_used_are_not_counted(tmp_path: Path) -> None:
    assert context_length(str(WRITERS["dream"](tmp_path / "dream"))) == 2048
    assert context_length(str(WRITERS["llada"](tmp_path / "llada"))) == checkpoints.CONTEXT
    roberta = checkpoints.write_masked_lm(tmp_path / "roberta", "roberta", pad_token_id=1)
    usable = context_length(str(roberta))
    assert usable == checkpoints.CONTEXT - 2
    model = load_base(str(roberta))
    assert logits(model, torch.full((1, usable), 9)).isfinite().all()
    with pytest.raises((IndexError, RuntimeError)):
        logits(model, torch.full((1, usable + 1), 9))


def test_a_missing_or_contradictory_mask_is_named(tmp_path: Path) -> None:
    assert "mask token with the id 5000" in refusal(checkpoints.write_llada(tmp_path / "a", mask_token_id=5000))
    folder = checkpoints.write_dream(tmp_path / "b", mask_token_id=7)
    assert "config.json says that token 7 is the mask" in refusal(folder)
    assert "has no mask token" in refusal(checkpoints.write_causal(tmp_path / "c", "llama", is_causal=False))
    folder = checkpoints.write_llada(tmp_path / "d")
    checkpoints.byte_tokenizer(checkpoints.LLADA_TOKENS[:3], eos_token="<|endoftext|>").save_pretrained(folder)
    assert "end-of-turn token <|eot_id|>" in refusal(folder)


# What is refused.


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
    assert "cannot be read" in refusal(folder)


def test_a_shard_that_is_missing_is_an_error(tmp_path: Path) -> None:
    folder = checkpoints.write_llada(tmp_path / "it")
    next(folder.glob("model-00002-*")).unlink()
    assert "cannot be read" in refusal(folder)


def test_a_config_that_is_no_json_is_an_error(tmp_path: Path) -> None:
    folder = checkpoints.write_llada(tmp_path / "it")
    (folder / "config.json").write_text("model_type: llada")
    assert "cannot be read" in refusal(folder)
