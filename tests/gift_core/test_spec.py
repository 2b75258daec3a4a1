from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gift_core.cli_common import parse_changes
from gift_core.data_spec import FileSource
from gift_core.errors import SpecError
from gift_core.section import read_typed, read_yaml_text
from gift_core.spec import ExperimentSpec, RunSpec, field_table
from gift_core.spec_reading import read_experiment


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
    assert RunSpec().changed_values(other) == {"seed": (1, 9), "training.lora.rank": (32, 3)}


def test_repeated_methods_are_told_apart() -> None:
    labels = [label for label, _ in ExperimentSpec.parse({"methods": ["gift", "gift"]}).expand()]
    assert labels == ["GIFT A", "GIFT B"]


def test_every_field_is_described() -> None:
    for name, text in field_table(RunSpec):
        assert name.endswith(".kind") or text.split(". ", 1)[1].strip(), name


TYPED = [
    # Field, what is typed, its value.
    ("sampling.suppress_eos", "no", "no"),
    ("seed", "010", 10),
    ("seed", "1_000", 1000),
    ("training.batch_size", "08", 8),
    ("training.learning_rate", "1e-3", 0.001),
    ("training.learning_rate", "5e-4", 0.0005),
    ("training.learning_rate", ".5", 0.5),
    ("objective.reference", "2", 2.0),
    ("objective.reference", "batch", "batch"),
    ("evaluation.score", "no", False),
    ("evaluation.score", "on", True),
    ("training.compile", "true", True),
    ("objective.rate_ceiling", "null", None),
    ("training.micro_batch_size", "", None),
    ("model.name", "123", "123"),
    ("model.name", "1e3", "1e3"),
    ("model.start_from", "0123", "0123"),
]
COLUMNS = [
    "2023",
    "no",
    "yes",
    "null",
    "~",
    "1e3",
    "0x10",
    "12:30",
    "2024-01-01",
    "010",
    "1_000",
    "true",
    "a: b",
    "[x",
    "*x",
]


@pytest.mark.parametrize(("field", "typed", "value"), TYPED)
def test_a_value_is_what_its_field_says(tmp_path: Path, field: str, typed: str, value: object) -> None:
    by_option = RunSpec().replace(parse_changes([f"{field}={typed}"]))
    section, _, name = field.rpartition(".")
    path = tmp_path / "spec.yaml"
    path.write_text(f"{section}:\n  {name}: {typed}\n" if section else f"{name}: {typed}\n")
    by_file = RunSpec.from_yaml(path)
    found: object = by_option
    for part in field.split("."):
        found = getattr(found, part)
    assert (found, type(found)) == (value, type(value))
    assert by_file == by_option
    path.write_text(by_option.to_yaml())
    assert RunSpec.from_yaml(path) == by_option


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_is_called_what_was_typed(tmp_path: Path, column: str) -> None:
    changes = parse_changes(["data.source={kind: file, dataset: rows.csv}", f"data.source.prompt_column={column}"])
    spec = RunSpec().replace(changes | {"data.source.response_column": "r"})
    assert isinstance(spec.data.source, FileSource)
    assert spec.data.source.prompt_column == column
    quoted = parse_changes([f"data.source.prompt_column='{column}'"])
    assert quoted == {"data.source.prompt_column": column}
    path = tmp_path / "spec.yaml"
    path.write_text(spec.to_yaml())
    assert RunSpec.from_yaml(path) == spec


@pytest.mark.parametrize("column", ["2023", "no", "1e3", "0x10", "12:30", "2024-01-01", "010", "1_000", "true"])
def test_plain_text_in_a_file_needs_no_quotes(tmp_path: Path, column: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(f"data:\n  source:\n    kind: file\n    dataset: 7\n    conversation_column: {column}\n")
    assert RunSpec.from_yaml(path).data.source == FileSource(dataset="7", conversation_column=column)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("training.learning_rate", "abc", '"abc" is not a number. Try 0.0005 or 5e-4.'),
        ("training.learning_rate", "1,5", '"1,5" is not a number.'),
        ("training.learning_rate", True, '"true" is not a number.'),
        ("seed", "0x10", '"0x10" is not a whole number.'),
        ("seed", "12:30", '"12:30" is not a whole number.'),
        ("seed", True, '"true" is not a whole number.'),
        ("training.epochs", 1.5, "1.5 is not a whole number."),
        ("training.epochs", None, "null is not a whole number."),
        ("evaluation.score", "maybe", '"maybe" is not true or false.'),
        ("model.name", 123, "123 is not text. Put it in quotes."),
        ("sampling.suppress_eos", False, "got false"),
        ("objective.reference", "abc", "\"abc\" is not 'sequence' or 'batch', nor a number."),
        ("objective.reference", "-1", "\"-1\" is not 'sequence' or 'batch', nor a number greater than 0."),
        ("objective.reference", True, "\"true\" is not 'sequence' or 'batch', nor a number."),
        ("objective.reference", "nan", "nor a finite number."),
    ],
)
def test_a_wrong_value_is_one_problem_in_plain_words(field: str, value: object, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        RunSpec().replace({field: value})
    (problem,) = caught.value.problems
    assert problem.field == field
    assert said in str(problem)
    section, _, name = field.rpartition(".")
    reading = read_experiment({"run": {section: {name: value}} if section else {name: value}})
    assert [str(found) for found in reading.problems] == [str(problem)]


def test_seeds_are_not_booleans() -> None:
    with pytest.raises(SpecError, match='"true" is not a whole number'):
        ExperimentSpec.parse({"seeds": [True]})


def test_a_name_that_is_there_twice_in_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("training:\n  epochs: 3\n  batch_size: 8\n  epochs: 5\n")
    with pytest.raises(SpecError, match="epochs is there twice, in lines 2 and 4"):
        RunSpec.from_yaml(path)


def test_merge_keys_of_yaml_still_work(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("training: &t\n  epochs: 3\nsampling:\n  suppress_eos: 'no'\nseed: 4\n")
    assert RunSpec.from_yaml(path).training.epochs == 3
    path.write_text("training:\n  <<: {epochs: 3, batch_size: 8}\n  epochs: 5\n")
    assert (RunSpec.from_yaml(path).training.epochs, RunSpec.from_yaml(path).training.batch_size) == (5, 8)


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    st.integers(0, 2**32 - 1),
    st.floats(min_value=0, max_value=1e300, exclude_min=True),
)
def test_any_spec_reads_back_from_its_file(column: str, seed: int, rate: float) -> None:
    spec = RunSpec().replace(
        {
            "data.source": {"kind": "file", "dataset": "x", "conversation_column": column or None},
            "seed": seed,
            "training.learning_rate": rate,
        }
    )
    assert RunSpec.parse(read_yaml_text(spec.to_yaml())) == spec


_LEVELS = "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
_MERGED = "".join(f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 9))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + _LEVELS, "more than 100,000 values, those that aliases repeat included"),
        ("a0: &a0 {x0: 1, x1: 2}\n" + _MERGED, "more than 100,000 values, those that aliases repeat included"),
        ("a: &a [*a]\n", "more than 100,000 values, those that aliases repeat included"),
        ("name: " + "x" * 1_000_001, "more than 1,000,000 characters"),
    ],
    ids=["aliases", "merged", "itself", "long"],
)
def test_yaml_of_far_more_than_it_looks_is_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    with pytest.raises(SpecError, match=why):
        RunSpec.from_yaml(path)
    with pytest.raises(SpecError):
        read_typed(RunSpec, "data", text)


def test_yaml_may_still_refer_to_what_it_has_said(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("training: &t\n  epochs: 2\nmodel: {name: tiny}\n")
    assert RunSpec.from_yaml(path).training.epochs == 2
    assert read_yaml_text("a: &a [1, 2]\nb: *a\nc: {<<: {d: 3}}\n") == {
        "a": ["1", "2"],
        "b": ["1", "2"],
        "c": {"d": "3"},
    }
