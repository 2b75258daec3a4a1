"""A run that masks nothing, or everything, does not look like one that has learned."""

from __future__ import annotations

from pathlib import Path

import pytest

from gift_core.errors import StoppedError, TrainingError
from gift_core.no_effect import check_learning
from gift_core.run import RunOptions, run_training
from gift_core.spec import RunSpec
from tests.gift_core.conftest import Here

SMALL = {"evaluation.score": False, "training.epochs": 2}


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"objective.reference": 1e9}, "objective.reference", "Nothing was learned"),
        ({"objective.rate_ceiling": 1e-9}, "objective.rate_ceiling", "Nothing was learned"),
        ({"objective.rate_floor": 1e6}, "objective.rate_floor", "never saw a part of a response"),
        ({"objective.reference": 1e-9}, "objective.reference", "never saw a part of a response"),
        ({"objective.reference": 1e9, "objective.method": "nll"}, "objective.reference", "Nothing was learned"),
        ({"objective.rate_floor": 1e6, "objective.method": "shuffled"}, "objective.rate_floor", "never saw"),
    ],
)
def test_a_run_that_masks_nothing_or_everything_fails(
    small_run: RunSpec, tmp_path: Path, changes: dict[str, object], field: str, said: str
) -> None:
    with pytest.raises(TrainingError, match=said) as failed:
        run_training(small_run.replace(SMALL | changes), tmp_path, Path)
    (problem,) = failed.value.problems
    assert problem.field == field
    assert problem.remedy
    assert not (tmp_path / "result.json").exists()
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.parametrize("changes", [{}, {"objective.method": "sft"}, {"objective.reference": 20.0}])
def test_a_run_that_masks_little_or_as_usual_finishes(
    small_run: RunSpec, tmp_path: Path, changes: dict[str, object]
) -> None:
    assert run_training(small_run.replace(SMALL | changes), tmp_path, Path)["steps"] == 6


def test_it_ends_long_before_its_last_step(small_run: RunSpec, tmp_path: Path) -> None:
    many = small_run.replace(SMALL | {"training.epochs": 1000, "objective.reference": 1e9})
    steps: list[int] = []
    with pytest.raises(TrainingError, match="Nothing was learned"):
        run_training(many, tmp_path, Path, RunOptions(lambda line: steps.append(line["step"])))
    # One report for each checkpoint, which is one for each epoch of three steps.
    assert max(steps) == 20 * 3


def test_an_interrupted_run_is_judged_by_all_of_it(small_run: RunSpec, tmp_path: Path) -> None:
    spec = small_run.replace(SMALL | {"objective.rate_floor": 1e6, "training.checkpoint_every": 1})
    seen = {"step": 0}
    options = RunOptions(lambda line: seen.update(step=line["step"]), should_stop=lambda: seen["step"] >= 3)
    with pytest.raises(StoppedError):
        run_training(spec, tmp_path, Path, options)
    with pytest.raises(TrainingError, match="in all 6 reports"):
        run_training(spec, tmp_path, Path, RunOptions(resume=True))


def test_chance_is_not_taken_for_a_setting() -> None:
    nothing = {"mask_ratio": 0.0, "masking_probability_p10": 0.01, "masking_probability_p90": 0.2, "loss": 0.0}
    usual = {"mask_ratio": 0.5, "masking_probability_p10": 0.1, "masking_probability_p90": 0.9, "loss": 1.0}
    check_learning(RunSpec(), [nothing] * 3, ended=False)
    check_learning(RunSpec(), [*[nothing] * 40, usual], ended=True)
    with pytest.raises(TrainingError, match="by chance these few had nothing to learn"):
        check_learning(RunSpec(), [nothing], ended=True)
    # A window in which every token was masked, as a time near 1 does.
    everything = usual | {"mask_ratio": 1.0, "masking_probability_p10": 0.9}
    check_learning(RunSpec(), [everything], ended=True)
    sft = RunSpec().replace({"objective.method": "sft"})
    check_learning(sft, [everything | {"masking_probability_p10": 0.999}], ended=True)


def test_the_command_warns_before_and_fails_after(gift_here: Here) -> None:
    given = ("data.source.examples=16", "data.held_out=4", "training.batch_size=8", "training.epochs=1")
    sets = [part for change in (*given, "evaluation.score=no", "objective.reference=1e9") for part in ("--set", change)]
    code, _, said = gift_here("check", "--method", "gift", *sets)
    assert (code, "can mask" in said, "objective.reference" in said) == (0, True, True)
    code, shown, said = gift_here("train", "--method", "gift", "--dry-run", *sets)
    assert (code, "can mask" in shown) == (0, True), said
    code, trained, said = gift_here("train", "--method", "gift", *sets)
    assert (code, trained) == (1, "")
    assert "objective.reference: Nothing was learned" in said
    code, _, said = gift_here("check", "--method", "gift", *sets[:-1], "objective.rate_floor=1000")
    assert (code, "masks at least 99.9%" in said) == (0, True)
