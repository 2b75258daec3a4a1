"""`gift train` and `gift pretrain` resume what is half done, and have nothing to do for what is finished."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gift_core.errors import GiftError, StoppedError
from gift_core.pretraining import PretrainingOptions, pretrain
from gift_core.run import RunOptions, run_training
from gift_core.spec import RunSpec
from tests.gift_core.conftest import Here
from tests.gift_core.resuming.interrupted import (
    stop_after,
    write_rows,
)


def changes(rows: Path, *more: str) -> list[str]:
    given = (
        *(f"data.source={{kind: file, dataset: {rows}}}", "data.held_out=2", "training.epochs=1"),
        *("training.batch_size=12", "evaluation.score=false", *more),
    )
    return [part for change in given for part in ("--set", change)]


def test_a_finished_run_has_nothing_to_do(gift_here: Here, rows: Path) -> None:
    arguments = ["train", "--method", "sft", "--method", "gift", *changes(rows)]
    code, _, complaint = gift_here("train", "--method", "sft", *changes(rows))
    assert code == 0, complaint
    code, trained, said = gift_here(*arguments, "--resume")
    assert code == 0, said
    assert said.count("runs/sft is finished: nothing to do.") == 1
    assert [json.loads(line)["run"] for line in trained.splitlines()] == ["runs/gift"]
    code, trained, said = gift_here(*arguments, "--resume")
    assert (code, trained) == (0, "")
    assert said.splitlines() == [
        f"runs/{name} is finished: nothing to do. Choose another folder to train it again." for name in ("sft", "gift")
    ]


def test_a_finished_run_of_something_else_says_what_differs(gift_here: Here, rows: Path) -> None:
    code, _, complaint = gift_here("train", "--method", "sft", *changes(rows))
    assert code == 0, complaint
    both = ["train", "--method", "gift", "--method", "sft", "--resume"]
    code, trained, said = gift_here(*both, *changes(rows, "training.learning_rate=0.001", "training.adapter=lora"))
    assert (code, trained) == (1, "")
    assert "training.learning_rate: The run in runs/sft was started with 0.0005, and this is 0.001." in said
    assert 'training.adapter: The run in runs/sft was started with "full", and this is "lora".' in said
    assert not Path("runs/gift").exists(), "nothing was trained before"
    write_rows(rows, 1)
    code, trained, said = gift_here(*both, *changes(rows))
    assert (code, trained) == (1, "")
    assert "data.source: runs/sft: The training examples are not those of the run: 22 (SHA-256 " in said
    assert "Traceback" not in said


def test_a_half_done_run_with_other_rows_stops_the_command_before_it_trains(
    gift_here: Here, rows: Path, spec: RunSpec, tmp_path: Path
) -> None:
    (tmp_path / "spec.yaml").write_text(spec.to_yaml())
    stop_after(2, spec, tmp_path / "runs" / "sft")
    write_rows(rows, 1)
    code, trained, said = gift_here("train", "spec.yaml", "--method", "gift", "--method", "sft", "--resume")
    assert (code, trained) == (1, "")
    assert "data.source: runs/sft: The training examples" in said
    assert not (tmp_path / "runs" / "gift").exists()
    write_rows(rows)
    code, trained, said = gift_here("train", "spec.yaml", "--method", "sft", "--resume")
    assert code == 0, said
    assert json.loads(trained)["steps"] == 6


def test_a_run_that_left_a_result_when_it_was_stopped_is_not_finished(
    gift_here: Here, spec: RunSpec, tmp_path: Path
) -> None:
    (tmp_path / "spec.yaml").write_text(spec.to_yaml())
    options = RunOptions(should_stop=lambda: True, save_when_stopped=lambda: True)
    with pytest.raises(StoppedError):
        run_training(spec, tmp_path / "runs" / "sft", Path, options)
    code, _, said = gift_here("train", "spec.yaml")
    assert (code, "Add --resume" in said) == (1, True)
    code, trained, said = gift_here("train", "spec.yaml", "--resume")
    assert code == 0, said
    assert json.loads(trained)["steps"] == 6


@pytest.mark.slow
def test_a_pretraining_goes_on_only_with_its_own_problems(gift_here: Here, tmp_path: Path) -> None:
    reported: list[int] = []
    stopping = PretrainingOptions(
        lambda line: reported.append(line["step"]), should_stop=lambda: reported[-1] >= 1, scored=1
    )
    with pytest.raises(StoppedError):
        pretrain(tmp_path / "new", 64, options=stopping)
    for arguments, said in (
        ((), "Add --resume"),
        (("--resume", "--examples", "80"), "data.source: new: The training examples are not those of the run: 65 ("),
        (("--resume", "--examples", "64", "--seed", "1"), "seed: The run in new was started with 0, and this is 1."),
    ):
        code, _, complaint = gift_here("pretrain", "new", *arguments)
        assert (code, said in complaint) == (1, True), complaint
    with pytest.raises(GiftError, match="training examples"):
        pretrain(tmp_path / "new", 80, options=PretrainingOptions(resume=True, scored=1))
    pretrain(tmp_path / "new", 64, options=PretrainingOptions(resume=True, scored=1))
    code, scores, said = gift_here("pretrain", "new", "--examples", "64", "--resume")
    assert (code, scores) == (0, "")
    assert said.startswith("new is finished: nothing to do.")
    for arguments, refusal in (((), "already holds a finished run"), (("--resume", "--examples", "80"), "81 (SHA-256")):
        code, _, complaint = gift_here("pretrain", "new", *arguments)
        assert (code, refusal in complaint) == (1, True), complaint
