"""A refused or damaged run keeps what it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from gift_core.errors import SpecError, StoppedError
from gift_core.recovery import is_finished, step_of
from gift_core.run import RunOptions, run_training
from gift_core.spec import RunSpec
from tests.gift_core.conftest import Here
from tests.gift_core.resuming.interrupted import (
    damage,
    resume,
    stop_after,
    write_rows,
)


def test_a_run_that_is_refused_keeps_what_it_has_reported(spec: RunSpec, rows: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    stop_after(4, spec, run)
    newest = max((run / "trainer").glob("checkpoint-*"), key=step_of)
    damage(newest)
    reported = (run / "metrics.jsonl").read_text()
    write_rows(rows, 1)
    with pytest.raises(SpecError, match="training examples"):
        resume(spec, run)
    kept = (run / "metrics.jsonl").read_text()
    assert kept.startswith(reported), "the refused attempt may add that it was loading, and removes nothing"
    assert newest.exists()


def test_a_stopped_run_whose_checkpoints_are_damaged_is_not_taken_for_finished(
    spec: RunSpec, tmp_path: Path, gift_here: Here
) -> None:
    run, written = tmp_path / "out" / "sft", tmp_path / "spec.yaml"
    written.write_text(spec.to_yaml())
    stopped = RunOptions(should_stop=lambda: True, save_when_stopped=lambda: True)
    with pytest.raises(StoppedError):
        run_training(spec, run, Path, stopped)
    assert (run / "result.json").exists()
    kept = (run / "checkpoint" / "adapter_model.safetensors").read_bytes()
    for checkpoint in (run / "trainer").glob("checkpoint-*"):
        damage(checkpoint)
    assert not is_finished(run)
    for more in ([], ["--resume"]):
        code, _, complaint = gift_here("train", str(written), "--method", "sft", "--output", str(run.parent), *more)
        assert code == 1
        assert "none of its checkpoints is whole any more" in " ".join(complaint.split())
        assert "nothing to do" not in complaint
    with pytest.raises(SpecError, match="none of its checkpoints is whole any more"):
        resume(spec, run)
    assert (run / "checkpoint" / "adapter_model.safetensors").read_bytes() == kept, "what it has learned is still there"
