"""An adapter that cannot be used is one message that says why; no pickle is opened and nothing is asked of the Hub."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gift_core.errors import ModelError
from gift_core.models.loading import load_base, load_checkpoint
from gift_core.recording import RUNS, Recording, recording_directory
from gift_core.reporting import CHECKPOINT

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    run = Recording.bundled().runs[0]
    return Path(copytree(recording_directory() / RUNS / run / CHECKPOINT, tmp_path / "adapter"))


def change_config(adapter: Path, **values: Any) -> None:
    config = json.loads((adapter / CONFIG).read_text()) | values
    (adapter / CONFIG).write_text(json.dumps(config))


def only_a_pickle(adapter: Path) -> None:
    torch.save(load_file(adapter / WEIGHTS), adapter / "adapter_model.bin")
    (adapter / WEIGHTS).unlink()


def cut_short(adapter: Path) -> None:
    whole = (adapter / WEIGHTS).read_bytes()
    (adapter / WEIGHTS).write_bytes(whole[: len(whole) // 2])


def renamed(adapter: Path) -> None:
    save_file(
        {key.replace("q_proj", "other"): part for key, part in load_file(adapter / WEIGHTS).items()}, adapter / WEIGHTS
    )


BROKEN: Mapping[str, Callable[[Path], object]] = {
    "there is no adapter_model.safetensors": only_a_pickle,
    "incomplete metadata": cut_short,
    "missing .*q_proj.*": renamed,
    "adapter_config.json of adapter cannot be read": lambda adapter: (adapter / CONFIG).write_text("{oops"),
    "it is not an object": lambda adapter: (adapter / CONFIG).write_text("[]"),
    "name a base in base_model_name_or_path": lambda adapter: change_config(adapter, base_model_name_or_path=None),
    "name a base in base_model": lambda adapter: change_config(adapter, base_model_name_or_path=" "),
    "rank_pattern: .* not an object": lambda adapter: change_config(adapter, rank_pattern=[1]),
    "megatron_config: .* not supported": lambda adapter: change_config(adapter, megatron_config={"width": 8}),
    "layer_replication: .* not supported": lambda adapter: change_config(adapter, layer_replication=[[0, 9]]),
    "alora_invocation_tokens: .* not supported": lambda adapter: change_config(adapter, alora_invocation_tokens=[1]),
    "is a IA3 adapter": lambda adapter: change_config(adapter, peft_type="IA3"),
    "the rank 1000000000, and its weights": lambda adapter: change_config(adapter, r=10**9),
    "the rank 999, and its weights": lambda adapter: change_config(adapter, rank_pattern={"q_proj": 999}),
    "the rank True": lambda adapter: change_config(adapter, r=True),
    "rank_pattern with": lambda adapter: change_config(adapter, rank_pattern={"(a+)+$": 1}),
    "layers_pattern": lambda adapter: change_config(adapter, layers_pattern=["(a+)+$"], layers_to_transform=[0]),
    "init_lora_weights: 'pissa'": lambda adapter: change_config(adapter, init_lora_weights="pissa"),
    "nested more than": lambda adapter: (adapter / CONFIG).write_text('{"a":' * 100_000),
    "size mismatch": lambda adapter: change_config(adapter, r=4),
    "[Tt]arget modules": lambda adapter: change_config(adapter, target_modules=["nowhere"]),
}


@pytest.mark.parametrize("reason", BROKEN)
def test_what_is_wrong_with_an_adapter_is_said(adapter: Path, reason: str) -> None:
    BROKEN[reason](adapter)
    with pytest.raises(ModelError, match=reason) as refused:
        load_checkpoint(adapter)
    assert refused.value.problems[0].field == "model.name"
    assert "adapter_model.safetensors of a LoRA adapter" in refused.value.problems[0].remedy


def test_targets_that_are_a_regular_expression_are_those_that_have_weights(adapter: Path) -> None:
    expected = load_checkpoint(adapter).network.state_dict()
    change_config(adapter, target_modules="(.*)+_proj(x+x+)*", exclude_modules="(a+)+$")
    found = load_checkpoint(adapter).network.state_dict()
    assert all(torch.equal(found[key], weight) for key, weight in expected.items())


def test_an_adapter_changes_the_weights_that_it_names_and_no_others(adapter: Path) -> None:
    base, adapted = (model.network.state_dict() for model in (load_base("tiny"), load_checkpoint(adapter)))
    touched = {key.removeprefix("base_model.model.").split(".lora_")[0] for key in load_file(adapter / WEIGHTS)}
    changed = {key.removesuffix(".weight") for key in base if not torch.equal(base[key], adapted[key])}
    assert changed == touched
