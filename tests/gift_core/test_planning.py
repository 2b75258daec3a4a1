"""The plan of a run says what the run then does."""

from __future__ import annotations

import gc
import json
import weakref
from pathlib import Path

import pytest
import torch

from gift_core import planning
from gift_core.activations import count_saved
from gift_core.data.sources import ResolveDataset
from gift_core.out_of_memory import is_out_of_memory
from gift_core.planning import Plan, plan
from gift_core.run import Prepared, frozen_rates, prepare, run_training
from gift_core.spec import RunSpec


@pytest.fixture
def unscored(small_run: RunSpec) -> RunSpec:
    return small_run.replace({"evaluation.score": False})


def test_the_counts_are_those_of_the_run(small_run: RunSpec, tmp_path: Path) -> None:
    found = plan(small_run, Path)
    examples = prepare(small_run, Path).training.examples
    assert found.examples == 24
    assert found.held_out == 4
    assert found.prompt_tokens + found.response_tokens == sum(len(example.input_ids) for example in examples)
    assert found.tail_tokens == sum(example.tail_length for example in examples)
    assert found.steps == run_training(small_run, tmp_path, Path)["steps"]
    assert found.checkpoint_every == 3
    lines = [json.loads(line)["values"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    masked = [values["mask_ratio"] for values in lines if "mask_ratio" in values]
    # The three steps are the run's own first epoch, at another learning rate.
    assert found.mask_ratio == pytest.approx(sum(masked[:3]) / 3, rel=0.02)
    assert found.seconds.training == pytest.approx(found.steps * found.seconds_per_step)
    assert found.seconds.scoring > 0


def test_the_plan_of_a_run_trains_nothing_and_leaves_nothing(unscored: RunSpec, tmp_path: Path) -> None:
    once = plan(unscored, Path, tmp_path)
    assert once.warnings == ()
    assert list(tmp_path.iterdir()) == []
    assert plan(unscored, Path).model_copy(update=measured(once)) == once


def measured(found: Plan) -> dict[str, object]:
    return {name: getattr(found, name) for name in ("seconds", "seconds_per_step", "peak_memory")}


def test_frozen_rates_are_planned_for_where_they_are_lacking(unscored: RunSpec, tmp_path: Path) -> None:
    spec = unscored.replace({"objective.probe": "frozen"})
    assert plan(spec, Path, tmp_path).seconds.probing > 0
    assert list(tmp_path.rglob("*.safetensors")) == []
    frozen_rates(spec, prepare(spec, Path), tmp_path)
    assert plan(spec, Path, tmp_path).seconds.probing == 0


def test_memory_parts_follow_from_the_weights(unscored: RunSpec) -> None:
    full = plan(unscored, Path)
    assert full.memory.weights == full.memory.gradients == 4 * full.parameters
    assert full.memory.optimiser == 8 * full.parameters
    lora = plan(unscored.replace({"training.adapter": "lora", "training.lora.rank": 2}), Path)
    assert lora.trained_parameters < lora.parameters / 10
    assert lora.memory.optimiser == 8 * lora.trained_parameters
    thrifty = plan(unscored.replace({"training.gradient_checkpointing": True}), Path)
    assert thrifty.memory.activations < full.memory.activations / 2
    halved = plan(unscored.replace({"training.micro_batch_size": 4}), Path)
    assert halved.memory.activations == pytest.approx(full.memory.activations / 2, rel=0.05)


def test_saved_tensors_are_counted_once_and_without_weights() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    x = torch.randn(4, 8)
    # The first layer keeps its input, tanh its output, which the last layer keeps too.
    assert count_saved(network, lambda: network(x)) == 2 * 4 * 8 * 4


def test_what_was_counted_is_let_go() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    kept = []
    network[1].register_forward_hook(lambda module, inputs, output: kept.append(weakref.ref(output)))
    assert count_saved(network, lambda: network(torch.randn(4, 8)))
    assert [reference() for reference in kept] == [None]


def test_the_next_plan_has_the_memory_of_the_one_before(unscored: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    networks: list[weakref.ref[torch.nn.Module]] = []
    left = []

    def watched(spec: RunSpec, resolve_dataset: ResolveDataset) -> Prepared:
        left.append(sum(network() is not None for network in networks))
        prepared = prepare(spec, resolve_dataset)
        networks.append(weakref.ref(prepared.model.network))
        return prepared

    monkeypatch.setattr(planning, "prepare", watched)
    # It does not come by itself here, and there it may come too late.
    gc.disable()
    try:
        plan(unscored, Path)
        plan(unscored, Path)
    finally:
        gc.enable()
    assert left == [0, 0]


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"data.eos_tail": "max", "data.max_length": 400}, "EOS tail"),
        ({"data.max_length": 45, "data.overlong": "truncate"}, "24 examples (100%) are cut at 45"),
        ({"data.held_out": 0}, "held out"),
    ],
)
def test_it_warns_of_what_a_user_would_want_to_know(
    unscored: RunSpec, changes: dict[str, object], warning: str
) -> None:
    found = plan(unscored.replace(changes), Path)
    assert warning in " ".join(found.warnings)


def test_out_of_memory_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
