from __future__ import annotations

from pathlib import Path

import pytest

from gift_core.errors import SpecError
from gift_core.spec import ExperimentSpec, RunSpec, field_table


def test_yaml_round_trip(tmp_path: Path) -> None:
    spec = RunSpec().replace({"training.learning_rate": 1e-5, "objective.reference": 0.7})
    path = tmp_path / "spec.yaml"
    path.write_text(spec.to_yaml())
    assert RunSpec.from_yaml(path) == spec


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("training.learning_rate", "abc", "training.learning_rate"),
        ("training.epochs", 0, "training.epochs"),
        ("objective.method", "magic", "objective.method"),
        ("objective.reference", "x", "objective.reference"),
        ("sampling.block_length", 7, "sampling"),
        ("training.lerning_rate", 1, "training.lerning_rate"),
        ("nothing.like.this", 1, "nothing.like.this"),
        ("data.source", {"kind": "task", "difficulty": "extreme"}, "data.source.difficulty"),
        ("data.source", {"kind": "cloud"}, "data.source"),
        ("data.source", {"kind": "file"}, "data.source.dataset"),
        ("training.learning_rate", float("nan"), "training.learning_rate"),
        ("training.weight_decay", "inf", "training.weight_decay"),
        ("objective.power", 1e999, "objective.power"),
    ],
)
def test_a_wrong_value_names_its_field(field: str, value: object, named: str) -> None:
    with pytest.raises(SpecError) as caught:
        RunSpec().replace({field: value})
    assert {problem.field for problem in caught.value.problems} == {named}


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        RunSpec.parse({"training": {"learning_rate": "abc", "epochs": -1}, "seed": "x"})
    assert {problem.field for problem in caught.value.problems} == {"training.learning_rate", "training.epochs", "seed"}


@pytest.mark.parametrize("text", ["a: [", "\x00", "- 1\n- 2"])
def test_a_file_that_is_no_spec_is_a_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(SpecError):
        RunSpec.from_yaml(path)


def test_an_experiment_expands_to_runs_that_differ_in_method_and_seed_only() -> None:
    experiment = ExperimentSpec.parse({"methods": ["sft", "gift"], "seeds": [1, 2]})
    runs = experiment.expand()
    assert [label for label, _ in runs] == ["SFT seed 1", "GIFT seed 1", "SFT seed 2", "GIFT seed 2"]
    same = {"objective.method": "sft", "seed": 0}
    assert len({spec.replace(same).fingerprint() for _, spec in runs}) == 1


def test_a_seed_stands_once() -> None:
    with pytest.raises(SpecError, match="each seed"):
        ExperimentSpec.parse({"seeds": [1, 1]})


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"model.quantisation": "nf4"}, "model.quantisation", "training.adapter to lora"),
        ({"objective.probe": "frozen", "data.eos_tail": "longest"}, "data.eos_tail", "tail block, max or one"),
        ({"objective.rate_floor": 2, "objective.rate_ceiling": 1}, "objective", "rate_floor"),
    ],
)
def test_fields_that_contradict_each_other_say_which_to_change(
    changes: dict[str, object], field: str, said: str
) -> None:
    with pytest.raises(SpecError, match=said) as refusal:
        RunSpec().replace(changes)
    assert [problem.field for problem in refusal.value.problems] == [field]


def test_differences_are_dotted_fields() -> None:
    assert RunSpec().differences(RunSpec()) == []
    other = RunSpec().replace({"training.lora.rank": 3, "seed": 9})
    assert RunSpec().differences(other) == ["seed", "training.lora.rank"]


def test_repeated_methods_are_told_apart() -> None:
    labels = [label for label, _ in ExperimentSpec.parse({"methods": ["gift", "gift"]}).expand()]
    assert labels == ["GIFT A", "GIFT B"]


def test_every_field_is_described() -> None:
    for name, text in field_table(RunSpec):
        assert name.endswith(".kind") or text.split(". ", 1)[1].strip(), name
