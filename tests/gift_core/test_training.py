from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gift_core.data.collation import BucketSampler
from gift_core.errors import GiftError, TrainingError
from gift_core.models.loading import load_checkpoint, open_checkpoint
from gift_core.run import run_training
from gift_core.spec import RunSpec
from gift_core.training import GiftTrainer


def losses(directory: Path) -> list[float]:
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return [line["values"]["loss"] for line in lines if "loss" in line["values"]]


def train(spec: RunSpec, directory: Path) -> tuple[list[float], dict[str, torch.Tensor], dict[str, Any]]:
    result = run_training(spec, directory, Path)
    weights = next((directory / "checkpoint").glob("*.safetensors"))
    return losses(directory), load_file(weights), result


@pytest.mark.parametrize("method", ["sft", "gift"])
def test_two_runs_of_one_spec_are_identical_to_the_last_bit(small_run: RunSpec, tmp_path: Path, method: str) -> None:
    spec = small_run.replace({"objective.method": method, "training.precision": "bf16"})
    one, weights, result = train(spec, tmp_path / "a")
    other, same_weights, same_result = train(spec, tmp_path / "b")
    assert len(one) == 6
    assert one == other
    assert all(torch.equal(weights[name], same_weights[name]) for name in weights)
    assert result["score"] == same_result["score"]


def test_sft_and_gift_differ_only_in_method(small_run: RunSpec, tmp_path: Path) -> None:
    gift, _, _ = train(small_run, tmp_path / "gift")
    sft, _, _ = train(small_run.replace({"objective.method": "sft"}), tmp_path / "sft")
    flat, _, _ = train(small_run.replace({"objective.power": 0}), tmp_path / "flat")
    assert gift != sft
    assert flat == sft, "power 0 makes all rates equal, and GIFT with equal rates is SFT"


@pytest.mark.parametrize("normalisation", ["token", "sequence"])
def test_micro_batches_do_not_change_the_update(small_run: RunSpec, tmp_path: Path, normalisation: str) -> None:
    spec = small_run.replace({"training.normalisation": normalisation, "training.epochs": 1})
    whole, weights, _ = train(spec, tmp_path / "whole")
    parts, other, _ = train(spec.replace({"training.micro_batch_size": 4}), tmp_path / "parts")
    assert parts == pytest.approx(whole, rel=1e-4)
    for name, value in weights.items():
        torch.testing.assert_close(other[name], value, rtol=1e-3, atol=2e-5)


def test_both_normalisers_agree_on_equal_lengths_and_on_a_short_last_batch(small_run: RunSpec, tmp_path: Path) -> None:
    spec = small_run.replace({"data.source.examples": 20, "training.epochs": 1, "evaluation.score": False})
    by_token, _, _ = train(spec, tmp_path / "token")
    by_sequence, _, _ = train(spec.replace({"training.normalisation": "sequence"}), tmp_path / "sequence")
    assert len(by_token) == 2
    assert by_sequence == pytest.approx(by_token, rel=1e-5)


def test_the_held_out_loss_is_measured_when_asked_and_at_the_end(
    small_run: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gift_core.training._LOGGED_STEPS", 2)
    run_training(small_run.replace({"evaluation.loss_every": 4, "evaluation.score": False}), tmp_path, Path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line["values"]] == [3, 4, 6]
    assert [line["step"] for line in lines if "eval_loss" in line["values"]] == [0, 4, 6]


def test_training_reports_what_the_views_draw(small_run: RunSpec, tmp_path: Path) -> None:
    run_training(small_run, tmp_path, Path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    phases = [line["phase"] for line in lines if line["phase"] != "training"]
    assert phases == ["loading", "evaluating", "evaluating", "saving"]
    steps = [line for line in lines if "loss" in line["values"]]
    assert [line["step"] for line in steps] == [1, 2, 3, 4, 5, 6]
    assert steps[-1]["eta_seconds"] == 0
    for name in ("grad_norm", "learning_rate", "tokens_per_second", "mask_ratio", "mean_entropy", "tail_loss_share"):
        assert all(name in line["values"] for line in steps), name
    evaluations = [line["values"]["eval_loss"] for line in lines if "eval_loss" in line["values"]]
    assert len(evaluations) == 3, "before training and after each epoch"
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["score"]["n"] == 8
    assert result["final_loss"] == steps[-1]["values"]["loss"]
    assert result["held_out_loss"] == evaluations[-1]
    assert result["score"]["low"] <= result["score"]["share"] <= result["score"]["high"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint",
        "metrics.jsonl",
        "result.json",
        "spec.yaml",
    ]


def test_training_lowers_the_held_out_loss(small_run: RunSpec, tmp_path: Path) -> None:
    spec = small_run.replace({"data.source.examples": 256, "training.epochs": 3, "evaluation.score": False})
    run_training(spec, tmp_path, Path)
    lines = [json.loads(line)["values"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    evaluations = [values["eval_loss"] for values in lines if "eval_loss" in values]
    assert evaluations[-1] < evaluations[0]


def test_lora_leaves_an_adapter_that_changes_the_base(small_run: RunSpec, tmp_path: Path) -> None:
    spec = small_run.replace({"training.adapter": "lora", "training.lora.rank": 4, "training.learning_rate": 5e-3})
    run_training(spec, tmp_path, Path)
    saved = load_file(tmp_path / "checkpoint" / "adapter_model.safetensors")
    assert not any("lm_head" in name for name in saved), "the output head gets no adapter"
    adapted, base = load_checkpoint(tmp_path / "checkpoint"), open_checkpoint("tiny")
    ids = torch.arange(5, 30)[None]
    with torch.no_grad():
        assert not torch.equal(adapted.network(ids).logits, base.network(ids).logits)


def test_a_file_of_ones_own_is_trained_on(small_run: RunSpec, tmp_path: Path) -> None:
    rows = [{"prompt": f"Say {i}", "response": str(i)} for i in range(40)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    spec = small_run.replace({"data.source": {"kind": "file", "dataset": str(path)}, "sampling.block_length": 8})
    result = run_training(spec, tmp_path / "run", Path)
    assert "score" not in result
    assert len(losses(tmp_path / "run")) == 6


def test_a_loss_that_is_not_finite_stops_the_run(small_run: RunSpec, tmp_path: Path) -> None:
    spec = small_run.replace({"training.learning_rate": 1e30, "training.epochs": 5, "training.max_grad_norm": 1e30})
    with pytest.raises(TrainingError, match="learning_rate"):
        run_training(spec, tmp_path, Path)
    assert not (tmp_path / "result.json").exists()
    assert not (tmp_path / "checkpoint").exists()


def test_an_unknown_model_is_a_clear_error(small_run: RunSpec, tmp_path: Path) -> None:
    with pytest.raises(GiftError, match="no base model called"):
        run_training(small_run.replace({"model.name": "nothing"}), tmp_path, Path)


def test_the_order_of_an_epoch_is_keyed_and_complete() -> None:
    lengths = list(range(100))
    sampler = BucketSampler(lengths, batch_size=8, seed=1)
    first = list(sampler)
    assert sorted(first) == lengths
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    widths = [max(first[i : i + 8]) - min(first[i : i + 8]) for i in range(0, 96, 8)]
    assert max(widths) == 7, "batches hold neighbours in length"


def test_dropout_does_not_reach_the_probe(small_run: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[bool] = []
    probe = GiftTrainer._probe

    def watched(self: GiftTrainer, model: torch.nn.Module, *tensors: torch.Tensor) -> torch.Tensor:
        hook = model.register_forward_pre_hook(lambda module, _: modes.append(module.training))
        try:
            return probe(self, model, *tensors)
        finally:
            hook.remove()

    monkeypatch.setattr(GiftTrainer, "_probe", watched)
    run_training(small_run.replace({"training.epochs": 1, "evaluation.score": False}), tmp_path, Path)
    assert modes
    assert not any(modes)
