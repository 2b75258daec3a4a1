"""The memory estimate against what autograd keeps and what training allocates, and the suggestions against the rule."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from transformers import (
    BertConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from benchmarks._allocations import Allocations
from gift_core.activations import MicroBatch, Setup, count_saved, saved
from gift_core.errors import OutOfMemoryError
from gift_core.memory import estimate, predict, readable_size
from gift_core.models.adapters import add_lora
from gift_core.models.architecture import Architecture
from gift_core.models.forward import read_head
from gift_core.models.head import weighted_cross_entropy
from gift_core.models.loading import architecture, load_base
from gift_core.out_of_memory import out_of_memory
from gift_core.planning import plan
from gift_core.run import prepare
from gift_core.sizing import fits, largest_micro_batch, suggest, suggest_smaller
from gift_core.spec import RunSpec

LLADA = Architecture(vocabulary=126_464, width=4096, mlp=12_288, layers=32, heads=32, kv_heads=32, head_width=128)
DREAM = Architecture(vocabulary=152_064, width=3584, mlp=18_944, layers=28, heads=28, kv_heads=4, head_width=128)
SIZES = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "is_causal": False,
    "tie_word_embeddings": False,
}
ROWS, LENGTH = 4, 48

LORA = {"training.adapter": "lora", "training.lora.rank": 8}
FP32 = {"training.precision": "fp32"}
CHECKPOINTING = {"training.gradient_checkpointing": True}


def llama(kv_heads: int = 4) -> PreTrainedModel:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZES, num_key_value_heads=kv_heads))


def qwen2() -> PreTrainedModel:
    torch.manual_seed(0)
    return Qwen2ForCausalLM(Qwen2Config(**SIZES, num_key_value_heads=2))


def qwen3() -> PreTrainedModel:
    torch.manual_seed(0)
    return Qwen3ForCausalLM(Qwen3Config(**SIZES, num_key_value_heads=2, head_dim=16))


def counted(network: PreTrainedModel, spec: RunSpec, padded: bool) -> int:
    """What a forward pass in training keeps."""
    if spec.training.adapter == "lora":
        network = add_lora(replace(load_base("tiny"), network=network), spec.training.lora, "base")
    network.train()
    if spec.training.gradient_checkpointing:
        network.activation_checkpointing_enable({"use_reentrant": False})
        network.enable_input_require_grads()
    input_ids = torch.randint(512, (ROWS, LENGTH))
    attention_mask = torch.ones_like(input_ids)
    if padded:
        attention_mask[0, LENGTH // 2 :] = 0
    positions = torch.arange(ROWS * LENGTH)
    read = partial(weighted_cross_entropy, targets=input_ids.flatten(), weights=torch.ones(len(positions)))
    with torch.autocast("cpu", torch.bfloat16, enabled=spec.training.precision == "bf16"):
        return count_saved(network, lambda: read_head(network, input_ids, attention_mask, positions, read))


@pytest.mark.parametrize("padded", [False, True], ids=["even", "padded"])
@pytest.mark.parametrize("precision", [{}, FP32], ids=["bf16", "fp32"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        CHECKPOINTING,
        LORA,
        LORA | CHECKPOINTING,
        LORA | {"training.lora.targets": "attention"},
        LORA | {"training.lora.dropout": 0.1},
    ],
    ids=["full", "full again", "lora", "lora again", "lora on attention", "lora with dropout"],
)
def test_the_formula_is_what_autograd_keeps(
    changes: dict[str, object], precision: dict[str, object], padded: bool
) -> None:
    spec = RunSpec().replace(changes | precision)
    batch = MicroBatch(ROWS, LENGTH, ROWS * LENGTH, padded)
    for network in (llama(), llama(kv_heads=2), qwen2(), qwen3()):
        body = Architecture.of(network.config)
        assert saved(body, Setup.of(spec, body), batch) == pytest.approx(counted(network, spec, padded), rel=0.05)


def test_the_formula_holds_for_weights_in_four_bits() -> None:
    spec = RunSpec().replace(LORA | {"model.quantisation": "nf4"})
    network = load_base("tiny", quantisation="nf4").network
    body = architecture("tiny")
    setup, batch = Setup.of(spec, body), MicroBatch(ROWS, LENGTH, ROWS * LENGTH)
    assert saved(body, setup, batch) == pytest.approx(counted(network, spec, False), rel=0.05)
    held = sum(weight.numel() * weight.element_size() for weight in network.parameters())
    assert predict(body, setup, batch).weights == pytest.approx(held, rel=0.05)


def test_nothing_is_said_of_bodies_that_the_formula_does_not_follow() -> None:
    bert = Architecture.of(BertConfig())
    assert not bert.is_llama
    assert suggest(bert, RunSpec(), MicroBatch(8, 512, 8 * 512), 2**40) is None


def test_the_weights_of_the_published_models_are_counted() -> None:
    assert LLADA.weights == 8_015_581_184
    assert DREAM.weights == pytest.approx(7_615_616_512, rel=1e-3)
    for network in (llama(), llama(kv_heads=2), qwen3()):
        body = Architecture.of(network.config)
        assert body.weights == sum(weight.numel() for weight in network.parameters())
    tiny = architecture("tiny")
    assert (tiny.layers, tiny.width, tiny.is_llama) == (5, 192, True)


@pytest.mark.parametrize(
    "changes",
    [{}, {"training.micro_batch_size": 4}, CHECKPOINTING, LORA | FP32, LORA | CHECKPOINTING],
    ids=["bf16", "accumulating", "checkpointing", "lora fp32", "lora checkpointing"],
)
def test_the_estimate_is_the_measured_peak(small_run: RunSpec, tmp_path: Path, changes: dict[str, object]) -> None:
    spec = small_run.replace({"training.precision": "bf16", "training.epochs": 1, "data.held_out": 0} | changes)
    prepared = prepare(spec, Path)
    trainer = prepared.trainer(spec, tmp_path)
    trainer.args.save_strategy = "no"
    with Allocations(prepared.model.network.parameters()) as allocations:
        trainer.train()
    batch = largest_micro_batch(prepared.training.examples, spec)
    predicted = predict(prepared.architecture, Setup.of(spec, prepared.architecture), batch)
    assert predicted.total == pytest.approx(allocations.peak, rel=0.15)


def test_the_peak_is_that_of_one_phase() -> None:
    batch = MicroBatch(rows=1, length=1024, read=1024)
    setup = Setup.of(RunSpec().replace({"training.batch_size": 1}), DREAM)
    short, long = (predict(DREAM, setup, replace(batch, length=length)) for length in (8, 4096))
    assert short.total == short.step == short.weights + short.gradients + short.optimiser == 16 * DREAM.weights
    assert long.total < long.weights + long.gradients + long.optimiser + long.activations + long.head
    assert long.total > long.step


def test_a_frozen_base_takes_what_it_was_published_in_and_trained_weights_fp32() -> None:
    published = replace(LLADA, published=2)
    batch = MicroBatch(rows=1, length=1024, read=1024)
    changes: tuple[dict[str, object], ...] = (LORA, LORA | {"model.dtype": "fp32"}, {}, {"model.dtype": "bf16"} | LORA)
    frozen, wide, trained, named = (
        predict(published, Setup.of(RunSpec().replace(change), published), batch) for change in changes
    )
    adapters = frozen.gradients
    assert frozen.weights - adapters == named.weights - adapters == 2 * LLADA.weights
    assert wide.weights - adapters == trained.weights == 4 * LLADA.weights


def test_weights_in_four_bits_are_an_eighth_and_little_more() -> None:
    lora = RunSpec().replace(LORA)
    batch = MicroBatch(rows=1, length=1024, read=1024)
    whole, small = (
        predict(LLADA, Setup.of(spec, LLADA), batch) for spec in (lora, lora.replace({"model.quantisation": "nf4"}))
    )
    # The adapters, too, stay in fp32.
    unchanged = 2 * LLADA.head * 4 + whole.gradients
    assert small.weights - unchanged == pytest.approx((whole.weights - unchanged) / 7.75, rel=0.01)
    assert small.activations < whole.activations


@pytest.mark.parametrize("gibibytes", [20, 48, 60, 80, 160, 320, 1000])
def test_a_suggestion_fits_and_nothing_larger_does(gibibytes: int) -> None:
    available = gibibytes * 2**30
    for spec in (RunSpec(), RunSpec().replace(LORA), RunSpec().replace(LORA | {"training.batch_size": 12})):
        batch = MicroBatch(rows=3, length=1024, read=3 * 900, padded=True)
        found = suggest(LLADA, spec, batch, available)
        choices = {
            (checkpointing, rows): fits(predict(LLADA, Setup.of(changed, LLADA), batch.of_rows(rows)), available)
            for checkpointing in (False, True)
            for changed in [spec.replace({"training.gradient_checkpointing": checkpointing})]
            for rows in range(1, spec.training.batch_size + 1)
            if spec.training.batch_size % rows == 0
        }
        if found is None:
            assert not any(choices.values())
            continue
        assert choices[found.gradient_checkpointing, found.micro_batch_size]
        assert found.needed <= found.available == available
        fitting = [rows for (checkpointing, rows), it_fits in choices.items() if it_fits and not checkpointing]
        assert found.gradient_checkpointing == (not fitting)
        fitting = fitting or [rows for (_, rows), it_fits in choices.items() if it_fits]
        assert found.micro_batch_size == max(fitting)


def test_a_micro_batch_of_other_rows_reads_in_proportion() -> None:
    batch = MicroBatch(rows=3, length=10, read=20, padded=True)
    assert batch.of_rows(6) == MicroBatch(6, 10, 40, True)
    assert batch.of_rows(1) == MicroBatch(1, 10, 7, False)


def test_running_out_of_memory_names_values_that_would_fit() -> None:
    spec = RunSpec().replace(LORA | {"training.batch_size": 8})
    batch = MicroBatch(rows=8, length=2048, read=8 * 1024)
    available = 80 * 2**30
    remedy = out_of_memory(spec, batch, LLADA, available).problems[0].remedy
    suggestion = suggest_smaller(LLADA, spec, batch, available)
    assert suggestion
    assert suggestion.micro_batch_size <= 4
    assert f"training.micro_batch_size {suggestion.micro_batch_size} with" in remedy
    assert "of 80.0 GiB free" in remedy
    nothing = out_of_memory(spec, batch, LLADA, 2**30).problems[0].remedy
    assert "free" not in nothing
    assert "Lower training.micro_batch_size" in nothing


def test_a_dry_run_loads_nothing_where_the_sizes_say_that_memory_is_too_small(
    small_run: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup, batch = Setup.of(small_run, architecture("tiny")), MicroBatch(rows=8, length=51, read=8 * 24)
    available = int(1.2 * predict(architecture("tiny"), setup, batch).total)
    monkeypatch.setattr("gift_core.planning.available_memory", lambda: available)
    doing: list[str] = []
    with pytest.raises(OutOfMemoryError) as refusal:
        plan(small_run, Path, on_progress=doing.append)
    assert doing == []
    problem = refusal.value.problems[0]
    assert f"{readable_size(available)} are free" in problem.message
    assert "training.micro_batch_size 4 without training.gradient_checkpointing" in problem.remedy


def test_a_plan_suggests_a_larger_micro_batch_where_there_is_room(small_run: RunSpec) -> None:
    spec = small_run.replace({"training.micro_batch_size": 2, "evaluation.score": False, "data.held_out": 0})
    found = plan(spec, Path).suggestion
    assert found
    assert (found.micro_batch_size, found.gradient_checkpointing) == (8, False)


def test_what_is_counted_and_what_is_predicted_agree(small_run: RunSpec) -> None:
    prepared = prepare(small_run, Path)
    setup, batch = (
        Setup.of(small_run, prepared.architecture),
        largest_micro_batch(prepared.training.examples, small_run),
    )
    predicted = predict(prepared.architecture, setup, batch)
    # Biases and such are all that the sizes do not tell; the bundled base has none.
    assert estimate(prepared.model.network, setup, batch, predicted.activations) == predicted
