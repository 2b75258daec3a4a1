"""A run that begins with what another one has learned."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gift_core.errors import ModelError
from gift_core.run import run_training
from gift_core.spec import RunSpec

# So small that a step leaves every weight as it is.
STILL = {"training.learning_rate": 1e-30, "training.epochs": 1}


@pytest.fixture
def spec(small_run: RunSpec) -> RunSpec:
    return small_run.replace({"training.epochs": 1, "evaluation.score": False, "training.precision": "fp32"})


def weights(directory: Path, name: str) -> dict[str, torch.Tensor]:
    return load_file(directory / "checkpoint" / name)


@pytest.mark.parametrize(("adapter", "name"), [("full", "model.safetensors"), ("lora", "adapter_model.safetensors")])
def test_a_run_begins_where_the_other_ended(spec, tmp_path, adapter, name):
    first = spec.replace({"training.adapter": adapter, "objective.probe": "frozen"})
    ended = run_training(first, tmp_path / "first", Path)
    start = str(tmp_path / "first")
    begun = run_training(first.replace(STILL | {"model.start_from": start}), tmp_path / "second", Path)

    before, after = weights(tmp_path / "first", name), weights(tmp_path / "second", name)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert begun["held_out_loss"] == pytest.approx(ended["held_out_loss"])


def test_an_adapter_goes_on_only_as_what_it_is(spec, tmp_path):
    adapted = spec.replace(STILL | {"training.adapter": "lora"})
    run_training(adapted, tmp_path / "first", Path)
    more = adapted.replace({"model.start_from": str(tmp_path / "first")})
    for changes in ({"training.lora.rank": 4}, {"training.lora.alpha": 1.0}, {"training.lora.dropout": 0.5}):
        with pytest.raises(ModelError, match="rank, alpha or dropout"):
            run_training(more.replace(changes), tmp_path / "new", Path)


def test_what_cannot_be_started_from_is_refused(spec, tmp_path):
    run_training(spec.replace(STILL), tmp_path / "full", Path)
    for changes, said in (
        ({"model.start_from": str(tmp_path / "nowhere")}, "no weights"),
        ({"model.start_from": str(tmp_path / "full"), "training.adapter": "lora"}, "all weights"),
    ):
        with pytest.raises(ModelError, match=said) as refused:
            run_training(spec.replace(changes), tmp_path / "new", Path)
        assert refused.value.problems[0].field == "model.start_from"
        assert refused.value.problems[0].remedy
