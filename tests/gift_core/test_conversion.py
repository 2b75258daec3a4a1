"""Causal models made bidirectional, as the command line does it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from gift_core.cli import app
from gift_core.errors import ModelError
from gift_core.models.conversion import convert_causal
from gift_core.models.families.bidirectional import CONVERTIBLE
from gift_core.models.loading import load_base
from gift_core.run import prepare
from gift_core.spec import RunSpec
from tests.gift_core import checkpoints

IDS = torch.arange(5, 17)[None]


def gift(*arguments: str | Path) -> None:
    """Run the command in this process; what it raises is what a terminal would show."""
    CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.mark.parametrize("kind", CONVERTIBLE)
def test_a_conversion_looks_both_ways_and_keeps_its_weights(tmp_path: Path, kind: str) -> None:
    source = checkpoints.write_causal(tmp_path / "causal", kind)
    gift("convert", source, tmp_path / "both")
    model = load_base(str(tmp_path / "both"))
    assert (model.family.name, model.logit_shift) == ("bidirectional", 1)
    assert model.tokenizer.convert_ids_to_tokens(model.mask_id) == "<|mask|>"
    causal = AutoModelForCausalLM.from_pretrained(str(source)).eval()
    changed = IDS.clone()
    changed[0, -1] = 41
    with torch.no_grad():
        # Alone, a token is seen alike in both.
        torch.testing.assert_close(model.network(IDS[:, :1]).logits, causal(IDS[:, :1]).logits)
        before, after = (causal(ids).logits[0, 0] for ids in (IDS, changed))
        assert torch.equal(before, after)
        before, after = (model.network(ids).logits[0, 0] for ids in (IDS, changed))
        assert (before - after).abs().max() > 1e-5


@pytest.mark.parametrize("tied", [False, True])
def test_a_full_vocabulary_grows_by_a_mask_that_starts_as_the_mean(tmp_path: Path, tied: bool) -> None:
    rows = len(checkpoints.byte_alphabet()) + 1
    source = checkpoints.write_causal(tmp_path / "it", "llama", vocab_size=rows, tie_word_embeddings=tied)
    convert_causal(str(source), tmp_path / "both")
    model = load_base(str(tmp_path / "both"))
    weight = model.network.get_input_embeddings().weight
    assert (len(weight), model.vocabulary_size, model.mask_id) == (rows + 1, rows + 1, rows)
    torch.testing.assert_close(weight[model.mask_id], weight[:rows].mean(0))
    assert (model.network.get_output_embeddings().weight is weight) == tied


def test_a_mask_token_that_there_is_is_kept(tmp_path: Path) -> None:
    source = checkpoints.write_causal(tmp_path / "it", "qwen3", mask=True)
    convert_causal(str(source), tmp_path / "both")
    before = AutoModelForCausalLM.from_pretrained(str(source)).get_input_embeddings().weight
    assert torch.equal(load_base(str(tmp_path / "both")).network.get_input_embeddings().weight, before)


def test_what_is_no_causal_model_is_not_converted(tmp_path: Path) -> None:
    for folder in (
        checkpoints.write_masked_lm(tmp_path / "bert", "bert"),
        checkpoints.WRITERS["llama"](tmp_path / "l"),
    ):
        with pytest.raises(ModelError, match="no causal model that can be converted"):
            convert_causal(str(folder), tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_weights_that_are_trained_are_fp32_and_a_frozen_base_stays_as_published(tmp_path: Path) -> None:
    source = checkpoints.write_causal(tmp_path / "it", "llama", mask=True, is_causal=False, dtype=torch.bfloat16)
    data = tmp_path / "data.csv"
    data.write_text("prompt,response\na,b\nc,d\n")
    spec = RunSpec().replace(
        {"model.name": str(source), "data.source": {"kind": "file", "dataset": str(data)}, "data.max_length": 64}
    )
    frozen = {"training.adapter": "lora"}
    assert weight_dtype(spec) == weight_dtype(spec.replace(frozen | {"model.dtype": "fp32"})) == torch.float32
    assert weight_dtype(spec.replace(frozen)) == weight_dtype(spec.replace({"model.dtype": "bf16"})) == torch.bfloat16


def weight_dtype(spec: RunSpec) -> torch.dtype:
    prepared = prepare(spec, Path)
    return prepared.model.network.get_output_embeddings().weight.dtype
