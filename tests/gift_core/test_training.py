from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import gift_core.scores
from gift_core import run
from gift_core.data.collation import BatchShape, EpochBatches
from gift_core.errors import GiftError, ModelError, OutOfMemoryError, SpecError, TrainingError
from gift_core.evaluation import score_task
from gift_core.models.loading import DiffusionModel, load_checkpoint, open_checkpoint
from gift_core.run import RunOptions, run_training
from gift_core.spec import RunSpec
from gift_core.training import batch_shape

# Numbers of two digits, of which the tiny base has seen none.
UNKNOWN = {"kind": "task", "task": "word_problems", "difficulty": "hard", "examples": 64}


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
    spec = small_run.replace({"evaluation.score": False})
    gift, _, _ = train(spec, tmp_path / "gift")
    sft, _, _ = train(spec.replace({"objective.method": "sft"}), tmp_path / "sft")
    flat, _, _ = train(spec.replace({"objective.power": 0}), tmp_path / "flat")
    assert gift != sft
    assert flat == sft, "power 0 makes all rates equal, and GIFT with equal rates is SFT"


@pytest.mark.parametrize("normalisation", ["token", "sequence"])
def test_micro_batches_do_not_change_the_update(small_run: RunSpec, tmp_path: Path, normalisation: str) -> None:
    spec = small_run.replace({"training.normalisation": normalisation, "training.epochs": 1, "evaluation.score": False})
    whole, weights, _ = train(spec, tmp_path / "whole")
    parts, other, _ = train(spec.replace({"training.micro_batch_size": 2}), tmp_path / "parts")
    assert parts == pytest.approx(whole, rel=1e-4)
    for name, value in weights.items():
        torch.testing.assert_close(other[name], value, rtol=1e-3, atol=2e-5)


def test_both_normalisers_agree_on_equal_lengths_and_on_a_short_last_batch(small_run: RunSpec, tmp_path: Path) -> None:
    spec = small_run.replace({"data.source.examples": 12, "training.epochs": 1, "evaluation.score": False})
    by_token, _, _ = train(spec, tmp_path / "token")
    by_sequence, _, _ = train(spec.replace({"training.normalisation": "sequence"}), tmp_path / "sequence")
    assert len(by_token) == 2
    assert by_sequence == pytest.approx(by_token, rel=1e-5)


def test_the_held_out_loss_is_measured_when_asked_and_at_the_end(
    small_run: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gift_core.training.LOGGED_STEPS", 2)
    run_training(small_run.replace({"evaluation.loss_every": 4, "evaluation.score": False}), tmp_path, Path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line["values"]] == [3, 4, 6]
    assert [line["step"] for line in lines if "eval_loss" in line["values"]] == [0, 4, 6]


def test_training_reports_what_the_views_draw(small_run: RunSpec, tmp_path: Path) -> None:
    run_training(small_run, tmp_path, Path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    phases = [line["phase"] for line in lines if line["phase"] != "training"]
    assert phases == ["loading", "saving", "evaluating", "evaluating"]
    steps = [line for line in lines if "loss" in line["values"]]
    assert [line["step"] for line in steps] == [1, 2, 3, 4, 5, 6]
    assert steps[-1]["eta_seconds"] == 0
    always = ("grad_norm", "learning_rate", "tokens_per_second", "mask_ratio", "mean_entropy", "tail_loss_share")
    for name in (*always, "peak_memory_bytes", "entropy_p50", "relative_rate_p90", "masking_probability_p10"):
        assert all(name in line["values"] for line in steps), name
    for line in steps:
        deciles = [line["values"][f"loss_share_decile_{decile}"] for decile in range(1, 11)]
        assert sum(deciles) == pytest.approx(1, abs=1e-5)
    evaluations = [line["values"]["eval_loss"] for line in lines if "eval_loss" in line["values"]]
    assert len(evaluations) == 3, "before training and after each epoch"
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["score"]["n"] == 4
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
    spec = small_run.replace({"data.source": UNKNOWN, "training.epochs": 3, "evaluation.score": False})
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


@pytest.mark.parametrize("adapter", ["lora", "full"])
def test_a_run_is_scored_by_the_model_that_an_evaluation_of_its_checkpoint_loads(
    small_run: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adapter: str
) -> None:
    ids = torch.arange(5, 30)[None]
    scored: list[torch.Tensor] = []

    def score(model: DiffusionModel, *arguments: Any) -> dict[str, float | int]:
        with torch.no_grad():
            scored.append(model.network.eval()(ids).logits)
        return score_task(model, *arguments)

    monkeypatch.setattr(run, "score_task", score)
    changes = {"training.adapter": adapter, "training.learning_rate": 5e-3, "training.precision": "bf16"}
    run_training(small_run.replace(changes), tmp_path, Path)
    with torch.no_grad():
        loaded = load_checkpoint(tmp_path / "checkpoint").network(ids).logits
    assert scored[0].dtype == loaded.dtype
    assert torch.equal(scored[0], loaded)


def test_a_file_of_ones_own_is_trained_on(small_run: RunSpec, tmp_path: Path) -> None:
    rows = [{"prompt": f"Say {i}", "response": str(i)} for i in range(22)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    spec = small_run.replace({"data.source": {"kind": "file", "dataset": str(path)}, "sampling.block_length": 8})
    result = run_training(spec, tmp_path / "run", Path)
    assert "score" not in result
    assert len(losses(tmp_path / "run")) == 6


def test_an_unknown_model_is_a_clear_error(small_run: RunSpec, tmp_path: Path) -> None:
    with pytest.raises(GiftError, match="no base model called"):
        run_training(small_run.replace({"model.name": "nothing"}), tmp_path, Path)


@pytest.mark.parametrize("method", ["shuffled", "nll", "simple", "cart"])
def test_the_controls_train_and_see_the_same_noise(small_run: RunSpec, tmp_path: Path, method: str) -> None:
    spec = small_run.replace({"evaluation.score": False, "training.epochs": 1})
    control, _, _ = train(spec.replace({"objective.method": method}), tmp_path / method)
    again, _, _ = train(spec.replace({"objective.method": method}), tmp_path / "again")
    gift, _, _ = train(spec, tmp_path / "gift")
    assert control == again
    assert control != gift


def test_shuffled_has_gift_s_rates_in_other_places(small_run: RunSpec, tmp_path: Path) -> None:
    spec = small_run.replace({"evaluation.score": False, "training.epochs": 1})
    rates = []
    for method in ("gift", "shuffled"):
        run_training(spec.replace({"objective.method": method}), tmp_path / method, Path)
        first = json.loads((tmp_path / method / "metrics.jsonl").read_text().splitlines()[2])["values"]
        rates.append({name: value for name, value in first.items() if name.startswith(("relative_rate", "entropy"))})
    assert rates[0] == rates[1]


def test_frozen_rates_are_those_of_the_starting_model(small_run: RunSpec, tmp_path: Path) -> None:
    """In the first step nothing has been learned: online and frozen must agree, and later they need not."""
    online, _, _ = train(small_run, tmp_path / "online")
    frozen, _, _ = train(small_run.replace({"objective.probe": "frozen"}), tmp_path / "frozen")
    periodic = small_run.replace({"objective.probe": "every_k", "objective.probe_every": 2})
    every_second, _, _ = train(periodic, tmp_path / "periodic")
    assert frozen[0] == pytest.approx(online[0], rel=1e-5)
    assert frozen[1:] != pytest.approx(online[1:], rel=1e-5)
    assert every_second[:3] == online[:3], "the first epoch is probed in each step"
    assert every_second[3:] != pytest.approx(online[3:], rel=1e-5), "the second goes by what the first saw"


def test_frozen_rates_are_computed_once_for_all_runs(small_run: RunSpec, tmp_path: Path) -> None:
    spec = small_run.replace({"objective.probe": "frozen", "evaluation.score": False, "training.epochs": 1})
    found = []
    for label, changes in {
        "gift": {},
        "nll": {"objective.method": "nll"},
        "lora": {"training.adapter": "lora"},
        "bf16": {"training.precision": "bf16"},
    }.items():
        options = RunOptions(rate_cache=tmp_path / "rates")
        run_training(spec.replace(changes), tmp_path / label, Path, options)
        lines = [json.loads(line)["values"] for line in (tmp_path / label / "metrics.jsonl").read_text().splitlines()]
        found += [(line["rates_computed"], line["rates_reused"]) for line in lines if "rates_computed" in line]
    assert found == [(28, 0), (0, 28), (0, 28), (28, 0)], "other precision, other numbers"


@pytest.mark.parametrize("tail", ["longest", "max", "one"])
def test_every_tail_policy_trains(small_run: RunSpec, tmp_path: Path, tail: str) -> None:
    changes = {"data.eos_tail": tail, "data.max_length": 80, "training.epochs": 1, "evaluation.score": False}
    assert len(train(small_run.replace(changes), tmp_path)[0]) == 3


def test_the_longest_tail_is_the_same_for_every_division_of_the_batch(tmp_path: Path) -> None:
    lengths = [5, 9, 7, 20, 11, 8, 6]
    whole = EpochBatches(lengths, BatchShape(4, 4), seed=1, pad_to_longest=True)
    parts = [EpochBatches(lengths, BatchShape(4, 1, rank, 2), seed=1, pad_to_longest=True) for rank in range(2)]
    drawn = {draw.index: draw.length for batch in whole for draw in batch}
    together = {draw.index: draw.length for part in parts for batch in part for draw in batch}
    assert drawn == together
    assert len(drawn) == len(lengths)


def test_processes_take_equally_many_micro_batches_and_every_example_once() -> None:
    for examples in (1, 7, 8, 9, 13):
        shares = [list(EpochBatches([1] * examples, BatchShape(4, 1, rank, 2), seed=0)) for rank in range(2)]
        assert len({len(share) for share in shares}) == 1
        drawn = [draw.index for share in shares for batch in share for draw in batch]
        assert sorted(drawn) == list(range(examples))
        assert len(shares[0]) == len(EpochBatches([1] * examples, BatchShape(4, 1, 0, 2), seed=0))


def test_a_batch_that_cannot_be_divided_is_a_clear_error(small_run: RunSpec) -> None:
    with pytest.raises(SpecError, match="3 processes") as refusal:
        batch_shape(small_run, 0, 3)
    assert refusal.value.problems[0].field == "training.batch_size"


def test_too_little_memory_says_what_to_lower(
    small_run: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object, **__: object) -> None:
        torch.empty(2**60)

    monkeypatch.setattr("gift_core.training.weighted_cross_entropy", exhausted)
    with pytest.raises(OutOfMemoryError) as failure:
        run_training(small_run.replace({"data.held_out": 0}), tmp_path, Path)
    problem = failure.value.problems[0]
    assert "up to 8 sequences of 75 tokens" in problem.message
    for remedy in ("micro_batch_size 4", "gradient_checkpointing", "adapter to lora", "max_length"):
        assert remedy in problem.remedy


def test_a_compiler_that_is_not_there_is_a_clear_error(small_run: RunSpec, tmp_path: Path) -> None:
    from torch._inductor import config as inductor

    torch.compiler.reset()
    spec = small_run.replace({"training.compile": True, "objective.method": "sft", "data.held_out": 0})
    missing = {"cpp.cxx": (None, "/nonexistent/g++"), "force_disable_caches": True}
    with inductor.patch(missing), pytest.raises(TrainingError, match="compiler") as failure:
        run_training(spec, tmp_path, Path)
    assert failure.value.problems[0].field == "training.compile"
    assert "g++" in failure.value.problems[0].remedy


@pytest.mark.slow
def test_four_bit_weights_train_an_adapter(small_run: RunSpec, tmp_path: Path) -> None:
    """The probe runs in evaluation mode between the steps, where bitsandbytes would pack the weights for good."""
    spec = small_run.replace({"training": {"adapter": "lora"}, "evaluation.score": False, "data.source": UNKNOWN})
    spec = spec.replace({"model.quantisation": "nf4", "training.epochs": 4, "training.gradient_checkpointing": True})
    run_training(spec, tmp_path, Path)
    lines = [json.loads(line)["values"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    held_out = [values["eval_loss"] for values in lines if "eval_loss" in values]
    assert held_out[-1] < held_out[0]
    adapted, base = load_checkpoint(tmp_path / "checkpoint"), open_checkpoint("tiny")
    assert adapted.vocabulary_size == base.vocabulary_size


def test_four_bits_without_their_package_are_a_clear_error(
    small_run: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gift_core.models.quantisation.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="bitsandbytes") as failure:
        run_training(small_run.replace({"training": {"adapter": "lora"}, "model.quantisation": "nf4"}), tmp_path, Path)
    assert failure.value.problems[0].field == "model.quantisation"


def test_the_order_of_an_epoch_is_keyed_and_complete() -> None:
    lengths = list(range(100))
    batches = EpochBatches(lengths, BatchShape(8, 8), seed=1)
    first = [[draw.index for draw in batch] for batch in batches]
    assert sorted(index for batch in first for index in batch) == lengths
    assert [[draw.index for draw in batch] for batch in batches] == first
    batches.set_epoch(1)
    assert [[draw.index for draw in batch] for batch in batches] != first
    assert max(max(batch) - min(batch) for batch in first) == 7, "batches hold neighbours in length"


def test_dropout_does_not_reach_the_probe(small_run: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[bool] = []
    probe = gift_core.scores._probe

    def watched(model: DiffusionModel, network: torch.nn.Module, *rest: Any) -> torch.Tensor:
        modes.append(network.training)
        return probe(model, network, *rest)

    monkeypatch.setattr("gift_core.scores._probe", watched)
    run_training(small_run.replace({"training.epochs": 1, "evaluation.score": False}), tmp_path, Path)
    assert modes
    assert not any(modes)
