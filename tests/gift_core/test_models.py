from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from gift_core.errors import ModelError
from gift_core.models.catalogue import find_model
from gift_core.models.loading import DiffusionModel, load_base


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("with_mask", [False, True])
def test_an_earlier_logit_sees_a_later_token(attention: str, with_mask: bool) -> None:
    network = AutoModelForCausalLM.from_pretrained(find_model("tiny"), attn_implementation=attention).eval()
    ids = torch.arange(10, 22)[None]
    changed = ids.clone()
    changed[0, -1] = 99
    mask = torch.ones_like(ids) if with_mask else None
    with torch.no_grad():
        moved = network(ids, attention_mask=mask).logits - network(changed, attention_mask=mask).logits
    assert moved[0, 0].abs().max() > 1e-3


def test_plain_transformers_loads_the_bundled_base_to_the_same_logits(tiny: DiffusionModel) -> None:
    plain = AutoModelForCausalLM.from_pretrained(find_model("tiny")).eval()
    ids = torch.arange(5, 40)[None]
    with torch.no_grad():
        assert torch.equal(plain(ids).logits, tiny.network(ids).logits)


def test_padding_does_not_change_a_row(tiny: DiffusionModel) -> None:
    ids = torch.arange(5, 17)[None]
    padded = torch.nn.functional.pad(ids, (0, 6), value=tiny.eos_id)
    mask = torch.nn.functional.pad(torch.ones_like(ids), (0, 6))
    with torch.no_grad():
        alone, together = tiny.network(ids).logits, tiny.network(padded, attention_mask=mask).logits
    torch.testing.assert_close(together[:, :12], alone, rtol=1e-4, atol=1e-4)


def test_a_causal_model_is_refused_with_the_reason(tmp_path: Path, tiny: DiffusionModel) -> None:
    config = LlamaConfig(
        vocab_size=512, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="causal language model"):
        load_base(str(tmp_path))


def test_weights_that_do_not_fit_the_config_are_listed(tmp_path: Path, tiny: DiffusionModel) -> None:
    tiny.network.save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"num_hidden_layers": 5', '"num_hidden_layers": 6'))
    with pytest.raises(ModelError, match=r"missing model\.layers\.5"):
        load_base(str(tmp_path))


def test_an_unknown_model_names_those_there_are() -> None:
    with pytest.raises(ModelError, match="tiny") as caught:
        find_model("llama-7b")
    assert caught.value.problems[0].field == "model.name"


def test_a_folder_is_only_admitted_where_the_caller_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        find_model(str(tmp_path))
    assert find_model(str(tmp_path), local_folders=True) == tmp_path


def test_pickled_weights_are_not_loaded(tmp_path: Path, tiny: DiffusionModel) -> None:
    tiny.network.save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(tiny.network.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be read"):
        load_base(str(tmp_path))
