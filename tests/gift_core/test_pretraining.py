"""The tiny base can be made again, and an interrupted making goes on to the same weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gift_core.errors import StoppedError
from gift_core.models.loading import load_base, load_checkpoint
from gift_core.pretraining import PretrainingOptions, mixture, pretrain
from gift_core.reporting import CHECKPOINT, Line
from gift_core.tasks.registry import TASKS
from gift_core.tasks.task import is_held_out

PROBLEMS = 60


@pytest.mark.slow
def test_a_stopped_pretraining_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    pretrain(tmp_path / "whole", PROBLEMS, options=PretrainingOptions(scored=1))
    reported: list[Line] = []
    stopping = PretrainingOptions(reported.append, should_stop=lambda: reported[-1]["step"] >= 2, scored=1)
    with pytest.raises(StoppedError, match=r"after step [23] of 5"):
        pretrain(tmp_path / "stopped", PROBLEMS, options=stopping)
    record = pretrain(tmp_path / "stopped", PROBLEMS, options=PretrainingOptions(resume=True, scored=1))

    whole, resumed = (load_file(tmp_path / name / CHECKPOINT / "model.safetensors") for name in ("whole", "stopped"))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert record == json.loads((tmp_path / "stopped" / "record.json").read_text())
    assert set(record["scores"]) == set(TASKS)
    made = load_checkpoint(tmp_path / "stopped" / CHECKPOINT)
    assert made.network.dtype == torch.float32
    assert made.tokenizer.get_vocab() == load_base("tiny").tokenizer.get_vocab()


def test_nothing_that_is_held_out_is_learned_from() -> None:
    training, _ = mixture(2_000, 0)
    assert len(training) == 2_000
    assert not any(is_held_out(problem) for problem in training if not problem.prompt.startswith("Solve the"))
    sudokus = {problem.prompt for problem in training if problem.prompt.startswith("Solve the sudoku")}
    assert sudokus
    for seed in range(3):
        held_out = {problem.prompt for problem in TASKS["sudoku"].generate(0, "easy", seed, 300)[1]}
        assert sudokus.isdisjoint(held_out)


def test_a_heatmap_of_the_base_reads_as_text() -> None:
    tokenizer = load_base("tiny").tokenizer
    response = "<reasoning>First, 6+3=9. Therefore, 9/3=3.</reasoning><answer>3</answer>"
    pieces = [tokenizer.decode([token]) for token in tokenizer.encode(response, add_special_tokens=False)]
    assert pieces == [
        *("<reasoning>", "First", ",", " ", "6", "+", "3", "=", "9", "."),
        *(" Therefore", ",", " ", "9", "/", "3", "=", "3", "."),
        *("</reasoning>", "<answer>", "3", "</answer>"),
    ]
