"""Every family from its published layout to a trained model and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM
from transformers.utils import is_flash_attn_2_available

from gift_core.data.tokenisation import Encoder
from gift_core.errors import ModelError
from gift_core.models.adapters import add_lora
from gift_core.models.families.dream import DREAM
from gift_core.models.families.llada import LLADA
from gift_core.models.fingerprint import fingerprint
from gift_core.models.forward import logits_at
from gift_core.models.loading import (
    DiffusionModel,
    load_base,
    load_checkpoint,
    open_checkpoint,
    read_config,
)
from gift_core.models.saving import save_checkpoint, save_published
from gift_core.run import run_training
from gift_core.sampling import denoise
from gift_core.spec import LoraSpec, LoraTargets, RunSpec
from tests.gift_core import checkpoints, reference
from tests.gift_core.checkpoints import WRITERS
from tests.gift_core.looking import IDS, logits, rewrite, weights_in

PUBLISHED = ("llada", "dream")


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
    flash = attention == "flash_attention_2"
    if flash and not (is_flash_attn_2_available() and torch.cuda.is_available()):
        pytest.skip("flash attention needs a GPU and the package flash-attn")
    model = load_base(str(folder), "cuda" if flash else "cpu", dtype="bf16" if flash else "fp32")
    model.network.set_attn_implementation(attention)
    ids = IDS.to(model.device)
    changed = ids.clone()
    changed[:, -1] = 41
    assert (logits(model, ids)[:, 0] - logits(model, changed)[:, 0]).abs().max() > 1e-5


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


def in_bf16(folder: Path) -> Path:
    rewrite(folder, {key: value.bfloat16() for key, value in weights_in(folder).items()})
    return folder


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
