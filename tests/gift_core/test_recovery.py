"""A run that is killed goes on where it was, and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gift_core import training
from gift_core.errors import SpecError, StoppedError, TrainingError
from gift_core.recovery import complete_checkpoints, forget_after, last_checkpoint, reported_values, seal, step_of
from gift_core.reporting import Line
from gift_core.run import RunOptions, run_training
from gift_core.spec import RunSpec
from tests import forked


@pytest.fixture
def spec(small_run: RunSpec) -> RunSpec:
    """Twelve steps, a checkpoint after every second one, noise of every kind: bf16, dropout, accumulation."""
    return small_run.replace(
        {
            "training.epochs": 4,
            "training.checkpoint_every": 2,
            "training.micro_batch_size": 4,
            "training.precision": "bf16",
            "training.adapter": "lora",
            "training.lora.dropout": 0.2,
            "evaluation.score": False,
        }
    )


def weights(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(next((directory / "checkpoint").glob("*.safetensors")))


def metrics(directory: Path) -> list[dict[str, Any]]:
    """What was reported of each step, the machine's part left out."""
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    measured = ("tokens_per_second", "peak_memory_bytes")
    return [
        {"step": line["step"]} | {name: value for name, value in line["values"].items() if name not in measured}
        for line in lines
        if line["phase"] == "training" and line["values"]
    ]


def kill_after(step: int, directory: Path) -> None:
    """Start the run in a process of its own, which waits for its end when it has reported `step`."""
    process, said = forked.start_telling(_train_until, directory, step)
    assert said.recv() == step
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def _train_until(directory: Path, last: int, writer: Connection) -> None:
    def tell(line: Line) -> None:
        if line["phase"] == "training" and line["step"] >= last:
            writer.send(line["step"])
            signal.pause()

    run_training(RunSpec.from_yaml(directory / "spec.yaml"), directory, Path, RunOptions(listener=tell, resume=True))


def test_two_checkpoints_are_whole_until_a_third_one_is(
    spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = []

    def watched(directory: Path) -> None:
        # The newest is the oldest by its date, as after a clock was set back.
        os.utime(directory, (0, 0))
        whole.append([step_of(path) for path in complete_checkpoints(directory.parent)])
        seal(directory)

    monkeypatch.setattr(training, "seal", watched)
    run_training(spec, tmp_path, Path)
    assert whole == [[], [2], [4, 2], [6, 4], [8, 6], [10, 8]]


@pytest.mark.slow
# An online probe is in the real trainings of `tests/faults` and `tests/test_hosts.py`.
@pytest.mark.parametrize("probe", ["every_k", "frozen"])
def test_killed_twice_and_resumed_it_ends_in_the_same_weights(spec: RunSpec, tmp_path: Path, probe: str) -> None:
    # Checkpoints on no border of an epoch: what every_k saw before the border is needed after it.
    spec = spec.replace({"objective.probe": probe, "objective.probe_every": 2, "training.checkpoint_every": 5})
    run_training(spec, tmp_path / "whole", Path)
    killed = tmp_path / "killed"
    killed.mkdir()
    (killed / "spec.yaml").write_text(spec.to_yaml())
    first = random.Random(probe).randint(5, 8)
    kill_after(first, killed)
    kill_after(first + 3, killed)
    assert not (killed / "result.json").exists()

    result = run_training(spec, killed, Path, RunOptions(resume=True))

    one, other = weights(tmp_path / "whole"), weights(killed)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert metrics(killed) == metrics(tmp_path / "whole")
    assert result["final_loss"] == json.loads((tmp_path / "whole" / "result.json").read_text())["final_loss"]
    assert not (killed / "trainer").exists(), "what it resumed from is not needed any more"


def stop_after(step: int, spec: RunSpec, directory: Path) -> None:
    seen = {"step": 0}
    options = RunOptions(listener=lambda line: seen.update(step=line["step"]), should_stop=lambda: seen["step"] >= step)
    with pytest.raises(StoppedError, match="stopped after step"):
        run_training(spec, directory, Path, options)


def test_stopped_on_request_it_leaves_a_checkpoint_of_that_step(spec: RunSpec, tmp_path: Path) -> None:
    stop_after(3, spec, tmp_path / "run")
    checkpoint = last_checkpoint(tmp_path / "run")
    assert checkpoint is not None
    assert checkpoint.name == "checkpoint-4", "the step after the report is finished"
    run_training(spec, tmp_path / "whole", Path)
    run_training(spec, tmp_path / "run", Path, RunOptions(resume=True))
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "run")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_checkpoint_cut_short_is_passed_over(spec: RunSpec, tmp_path: Path) -> None:
    stop_after(5, spec, tmp_path)
    newest, before = list(complete_checkpoints(tmp_path / "trainer"))
    assert (newest.name, before.name) == ("checkpoint-6", "checkpoint-4")
    optimiser = newest / "optimizer.pt"
    optimiser.write_bytes(optimiser.read_bytes()[:-1])
    assert last_checkpoint(tmp_path) == before
    (before / "seal.json").unlink()
    assert last_checkpoint(tmp_path) is None


def test_nothing_in_a_checkpoint_is_a_pickle_of_objects(spec: RunSpec, tmp_path: Path) -> None:
    stop_after(3, spec, tmp_path)
    checkpoint = last_checkpoint(tmp_path)
    assert checkpoint is not None
    names = {path.name for path in checkpoint.iterdir()}
    assert {"adapter_model.safetensors", "tokenizer.json", "seal.json"} < names
    assert "training_args.bin" not in names
    for name in ("optimizer.pt", "scheduler.pt"):
        torch.load(checkpoint / name, weights_only=True)


class Evil:
    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.touched,)


def test_code_in_a_checkpoint_is_not_run(spec: RunSpec, tmp_path: Path) -> None:
    run = tmp_path / "run"
    stop_after(3, spec, run)
    checkpoint = last_checkpoint(run)
    assert checkpoint is not None
    torch.save(Evil(tmp_path / "touched"), checkpoint / "optimizer.pt")
    seal(checkpoint)
    with pytest.raises(UnpicklingError, match="Weights only load failed"):
        run_training(spec, run, Path, RunOptions(resume=True))
    assert not (tmp_path / "touched").exists()


def test_another_spec_is_not_resumed(spec: RunSpec, tmp_path: Path) -> None:
    stop_after(3, spec, tmp_path)
    with pytest.raises(SpecError) as refusal:
        run_training(spec.replace({"training.learning_rate": 1}), tmp_path, Path, RunOptions(resume=True))
    assert refusal.value.problems[0].field == "training.learning_rate"
    assert last_checkpoint(tmp_path) is not None, "nothing is lost by the attempt"


def test_without_resume_a_run_begins_anew(spec: RunSpec, tmp_path: Path) -> None:
    stop_after(3, spec, tmp_path)
    run_training(spec.replace({"training.epochs": 1}), tmp_path, Path)
    assert [line["step"] for line in metrics(tmp_path)] == [0, 1, 2, 3]


def test_a_loss_that_is_not_finite_names_step_and_examples_and_keeps_the_last_checkpoint(
    small_run: RunSpec, tmp_path: Path
) -> None:
    spec = small_run.replace({"training.learning_rate": 1e30, "training.warmup_share": 0.9, "training.epochs": 3})
    spec = spec.replace({"training.checkpoint_every": 1, "training.max_grad_norm": 1e30})
    with pytest.raises(TrainingError) as failure:
        run_training(spec, tmp_path, Path)
    problem = failure.value.problems[0]
    assert problem.field == "training.learning_rate"
    assert "not finite" in problem.message
    assert "examples" in problem.message
    checkpoint = last_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint.name in problem.message
    saved = load_file(checkpoint / "model.safetensors")
    assert all(tensor.isfinite().all() for tensor in saved.values()), "weights that went bad are never written"
    assert not (tmp_path / "result.json").exists()
    assert not (tmp_path / "checkpoint").exists()


def test_a_report_cut_short_by_the_crash_is_forgotten(tmp_path: Path) -> None:
    whole = [json.dumps({"step": step, "values": {"loss": 1.0 / step}}) + "\n" for step in (1, 2, 3)]
    (tmp_path / "metrics.jsonl").write_text("".join(whole) + '{"step": 2, "val')
    assert reported_values(tmp_path) == {"loss": pytest.approx(1 / 3)}
    forget_after(tmp_path, 2)
    assert (tmp_path / "metrics.jsonl").read_text() == "".join(whole[:2])


def test_a_seal_covers_every_file(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint-3"
    (checkpoint / "shards").mkdir(parents=True)
    (checkpoint / "shards" / "0").write_text("weights")
    seal(checkpoint)
    assert list(complete_checkpoints(tmp_path)) == [checkpoint]
    (checkpoint / "shards" / "0").write_text("Weights")
    assert list(complete_checkpoints(tmp_path)) == []
