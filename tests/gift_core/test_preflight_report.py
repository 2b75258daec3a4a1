"""What is said before a launch: every problem at once, each warning where it is due and only there, and numbers that
a real run then keeps to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from transformers.trainer import rotate_checkpoints

from gift_core.accounting import Accounts
from gift_core.machine import Machine, matrix_speed
from gift_core.models.loading import load_base
from gift_core.models.weight_files import count_weights
from gift_core.preflight_document import PreflightReport
from gift_core.preflight_estimates import Earlier
from gift_core.preflight_report import Surroundings, report
from gift_core.recovery import complete_checkpoints
from gift_core.reporting import METRICS_FILE, TRAINER_DIRECTORY
from gift_core.run import RunOptions, run_training
from gift_core.spec import ExperimentSpec, RunSpec

Rows = list[tuple[str, str]]
ROWS: Rows = [(f"What is {number}?", f"It is {number}.") for number in range(40)]
SHORT = {"data": {"source": {"kind": "task", "examples": 32}, "held_out": 100}, "training": {"batch_size": 8}}


def look(run: dict[str, Any] | None = None, **options: Any) -> PreflightReport:
    return report({"run": run or {}}, Path, Surroundings(**options))


def changed(*changes: tuple[str, Any]) -> dict[str, Any]:
    """A small run that nothing is wrong with, and these dotted fields changed."""
    run: dict[str, Any] = json.loads(json.dumps(SHORT))
    for path, value in changes:
        *parents, leaf = path.split(".")
        section = run
        for parent in parents:
            section = section.setdefault(parent, {})
        section[leaf] = value
    return run


@pytest.fixture
def trained_on(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """A run that learns from a file with these rows."""

    def make(rows: Rows, **data: Any) -> dict[str, Any]:
        path = tmp_path / "rows.jsonl"
        path.write_text("\n".join(json.dumps({"prompt": prompt, "response": response}) for prompt, response in rows))
        return changed(("data", {"source": {"kind": "file", "dataset": str(path)}, "held_out": 4, **data}))

    return make


def codes(found: PreflightReport) -> set[str]:
    return {warning.code for warning in found.warnings}


# Problems


def test_nothing_is_wrong_with_a_small_run() -> None:
    found = look(SHORT)
    assert (found.ok, found.problems, found.warnings) == (True, [], [])
    assert found.estimates.tokens
    assert found.estimates.steps
    assert found.estimates.memory
    assert found.estimates.disk


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("training.learning_rate", "abc", "training.learning_rate"),
        ("training.epochs", 0, "training.epochs"),
        ("training.micro_batch_size", 3, "training"),
        ("training.lerning_rate", 1, "training.lerning_rate"),
        ("data.source.task", "chess", "data.source.task"),
        ("data.source.examples", 100_001, "data.source.examples"),
        ("sampling.block_length", 7, "sampling"),
        ("model.quantisation", "nf4", "model.quantisation"),
        ("model.name", "gpt-9", "model.name"),
        ("data.source", {"kind": "file", "dataset": "nowhere.jsonl"}, "data.source.dataset"),
        ("data.source", {"kind": "task", "task": "countdown", "examples": 50_000}, "data.source.examples"),
        ("data.max_length", 40, "row 0"),
    ],
)
def test_a_problem_names_its_field(path: str, value: Any, field: str) -> None:
    found = look(changed((path, value)))
    assert not found.ok
    assert field in {problem.field for problem in found.problems}
    assert all(problem.message for problem in found.problems)


def test_what_the_machine_lacks_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import config as inductor

    run = changed(("training.adapter", "lora"), ("model.quantisation", "nf4"), ("training.compile", True))
    assert look(run).ok
    monkeypatch.setattr("gift_core.models.quantisation.importlib.util.find_spec", lambda name: None)
    with inductor.patch({"cpp.cxx": (None, "/nonexistent/g++")}):
        assert {problem.field for problem in look(run).problems} == {"model.quantisation", "training.compile"}
    small = look(SHORT, machine=Machine(memory_free=2**20, memory_total=2**21))
    assert [problem.field for problem in small.problems] == ["training.micro_batch_size"]


def test_every_problem_is_told_at_once() -> None:
    run = changed(
        ("model.name", "gpt-9"),
        ("data.source", {"kind": "file", "dataset": "nowhere.jsonl"}),
        ("training.learning_rate", "abc"),
        ("training.epochs", -1),
        ("objective.methd", "gift"),
        ("sampling.temperature", "hot"),
        ("objective.probe", "frozen"),
        ("data.eos_tail", "longest"),
    )
    found = report({"run": run, "seeds": [1, 1], "name": "x" * 121}, Path)
    assert {problem.field for problem in found.problems} == {
        *("model.name", "data.source.dataset", "training.learning_rate", "training.epochs", "objective.methd"),
        *("sampling.temperature", "data.eos_tail", "seeds", "name"),
    }


def test_a_check_of_fields_that_were_wrong_themselves_says_nothing() -> None:
    found = look(changed(("sampling.length", "abc"), ("sampling.block_length", 7)))
    assert [problem.field for problem in found.problems] == ["sampling.length"]
    found = look(changed(("model.quantisation", "nf4"), ("training.adapter", "what")))
    assert [problem.field for problem in found.problems] == ["training.adapter"]


@pytest.mark.parametrize("nonsense", [[], None, 3, "run", {"run": 3}, {"run": []}, {"": {}}, {1: 2}])
def test_what_is_no_experiment_is_said_so(nonsense: Any) -> None:
    found = report(nonsense, Path)
    assert found.problems
    assert not found.ok


def test_what_is_right_is_still_looked_at() -> None:
    found = look(changed(("training.learning_rate", "abc"), ("sampling.temperature", -1), ("data.held_out", 0)))
    assert len(found.problems) == 2
    assert found.estimates.tokens
    assert found.estimates.tokens.examples == 32
    assert found.estimates.disk is None
    assert codes(found) == {"nothing_held_out"}


# Warnings


@pytest.mark.parametrize(
    ("code", "due", "not_due"),
    [
        ("no_checkpoint", [("training.checkpoint_every", 40)], [("training.checkpoint_every", 39)]),
        ("eos_tail", [("data.eos_tail", "max"), ("data.max_length", 200)], [("data.eos_tail", "one")]),
        ("truncated", [("data.max_length", 60), ("data.overlong", "truncate")], [("data.overlong", "truncate")]),
        ("nothing_held_out", [("data.held_out", 0)], [("data.held_out", 100)]),
        ("few_items", [("data.held_out", 92)], [("data.held_out", 93)]),
        ("few_items", [("data.held_out", 9)], [("data.held_out", 9), ("evaluation.score", False)]),
        ("warmup", [("training.warmup_share", 0.6)], [("training.warmup_share", 0.5)]),
        ("learning_rate", [("training.learning_rate", 1e-2)], [("training.learning_rate", 5e-3)]),
        ("learning_rate", [("training.learning_rate", 1e-5)], [("training.learning_rate", 5e-5)]),
        ("learning_rate", [("training.learning_rate", 1e-30)], []),
        ("masks_nothing", [("objective.reference", 1000)], [("objective.reference", 2)]),
        ("masks_nothing", [("objective.rate_ceiling", 0.01)], [("objective.rate_ceiling", 0.1)]),
        ("masks_everything", [("objective.rate_floor", 100)], [("objective.rate_floor", 1)]),
        ("masks_everything", [("objective.reference", 1e-6)], [("objective.reference", 0.5)]),
        ("no_effect", [("objective.power", 0)], [("objective.power", 0.1)]),
        (
            "no_effect",
            [("objective.rate_floor", 1), ("objective.rate_ceiling", 1)],
            [("objective.rate_floor", 1), ("objective.rate_ceiling", 2)],
        ),
        ("no_effect", [("training.max_grad_norm", 1e-9)], [("training.max_grad_norm", 0.1)]),
        ("no_effect", [("training.adapter", "lora"), ("training.lora.alpha", 1e-6)], [("training.lora.alpha", 1e-6)]),
        (
            "no_effect",
            [("training.adapter", "lora"), ("training.learning_rate", 1e-12)],
            [("training.adapter", "lora"), ("training.learning_rate", 1e-6)],
        ),
    ],
)
def test_a_warning_is_given_where_it_is_due(
    code: str, due: list[tuple[str, Any]], not_due: list[tuple[str, Any]]
) -> None:
    assert codes(look(changed(*due))) == {code}
    assert code not in codes(look(changed(*not_due)))
    assert look(changed(*due)).ok


def test_what_masks_nothing_is_said_of_the_methods_that_mask_by_rate() -> None:
    run = changed(("objective.reference", 1e9))
    (warning,) = report({"run": run, "methods": ["sft", "gift", "shuffled"]}, Path).warnings
    assert warning.message.startswith("GIFT and SHUFFLED can mask ")
    assert warning.field == "objective.reference"
    assert report({"run": run, "methods": ["sft", "simple", "cart"]}, Path).warnings == []


def test_examples_that_are_too_long_are_counted(trained_on: Callable[..., dict[str, Any]]) -> None:
    rows = [*ROWS, *((f"{number} " + "1" * 200, "2") for number in range(10))]
    found = look(trained_on(rows, held_out=0, max_length=100, overlong="drop"))
    (warning,) = (each for each in found.warnings if each.code == "left_out")
    assert "10 of 50 examples (20%)" in warning.message
    assert found.estimates.tokens
    assert found.estimates.tokens.dropped == 10
    assert "left_out" not in codes(look(trained_on(ROWS, max_length=100, overlong="drop")))


def test_repeated_examples_are_counted_and_do_not_leak(trained_on: Callable[..., dict[str, Any]]) -> None:
    assert codes(look(trained_on(ROWS))) & {"duplicates", "overlap"} == set()
    twice = look(trained_on([*ROWS, *ROWS[:3]], held_out=0))
    assert any(warning.code == "duplicates" and "3 training" in warning.message for warning in twice.warnings)
    # Equal but for case and white space: the split keeps those together as well.
    alike = look(trained_on([*ROWS, *((prompt.upper() + " ", response) for prompt, response in ROWS)], held_out=8))
    assert "overlap" not in codes(alike)


def test_memory_and_disk_are_weighed_against_what_is_free() -> None:
    need = look(SHORT).estimates
    assert need.memory
    assert need.disk
    roomy = Machine(memory_free=2 * need.memory.needed, disk_free=need.disk.experiment)
    assert codes(look(SHORT, machine=roomy)) == set()
    tight = Machine(memory_free=need.memory.needed, memory_total=2**40, disk_free=need.disk.experiment - 1)
    assert codes(look(SHORT, machine=tight)) == {"memory", "disk"}
    one = report({"run": SHORT, "methods": ["sft"]}, Path).estimates.disk
    assert one
    assert need.disk.experiment == pytest.approx(one.experiment + one.left, rel=0.01)


# Estimates


@dataclass
class Trained:
    """A real run: what it says of itself, what it was seen to train on, and the bytes that it had on disk."""

    spec: RunSpec
    steps: int
    tokens_per_second: list[float]
    attended: int
    learned: int
    tail: int
    checkpoint: int
    largest: int
    left: int
    logs: int
    matrix_speed: float


@pytest.fixture(scope="module", params=["full", "lora"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    directory = tmp_path_factory.mktemp(request.param)
    spec = RunSpec.parse(changed(("training.epochs", 3), ("training.adapter", request.param), ("data.held_out", 8)))
    spec = spec.replace({"training.precision": "fp32", "evaluation.score": False})
    counts = [0, 0, 0]
    sizes: dict[str, int] = {}
    original = Accounts.add

    def add(self: Accounts, step: int, noised: Any, cross_entropy: Any) -> None:
        batch = noised.batch
        for place, mask in enumerate((batch.attention_mask, batch.response_mask, batch.tail_mask)):
            counts[place] += int(mask.sum())
        original(self, step, noised, cross_entropy)

    def watch(line: dict[str, Any]) -> None:
        if line["phase"] == "saving":
            checkpoints = list(complete_checkpoints(directory / TRAINER_DIRECTORY))
            sizes["checkpoint"] = size_of(checkpoints[0])

    def rotate(*arguments: Any, **options: Any) -> None:
        # The one moment at which the newest checkpoint and the oldest are both there.
        sizes["largest"] = max(sizes.get("largest", 0), size_of(directory))
        rotate_checkpoints(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Accounts, "add", add)
        patch.setattr("transformers.trainer.rotate_checkpoints", rotate)
        # Measured on both sides of the training: what was measured minutes ago says how busy the machine was then.
        before = matrix_speed.__wrapped__("fp32")
        result = run_training(spec, directory, Path, RunOptions(listener=watch))
        fastest = max(before, matrix_speed.__wrapped__("fp32"))
    lines = [json.loads(line)["values"] for line in (directory / METRICS_FILE).read_text().splitlines()]
    speeds = [values["tokens_per_second"] for values in lines if "tokens_per_second" in values]
    left, logs = size_of(directory), size_of(directory) - size_of(directory / "checkpoint")
    shutil.rmtree(directory)
    measured = {"left": left, "logs": logs, "matrix_speed": fastest}
    return Trained(spec, result["steps"], speeds, *counts, **sizes, **measured)  # type: ignore[arg-type]


def size_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def estimates_of(spec: RunSpec, **options: Any) -> Any:
    experiment = ExperimentSpec(run=spec, methods=(spec.objective.method,))
    return report(experiment, Path, Surroundings(**options)).estimates


def test_steps_and_tokens_are_those_of_the_run(trained: Trained) -> None:
    found, epochs = estimates_of(trained.spec), trained.spec.training.epochs
    assert found.steps.steps == trained.steps
    assert epochs * (found.tokens.prompt + found.tokens.response) == trained.attended
    assert epochs * found.tokens.response == trained.learned
    assert epochs * found.tokens.tail == trained.tail


def test_the_disk_is_filled_as_was_said(trained: Trained) -> None:
    disk = estimates_of(trained.spec).disk
    assert disk.checkpoint == pytest.approx(trained.checkpoint, rel=0.1)
    assert disk.left == pytest.approx(trained.left, rel=0.1)
    assert disk.logs == pytest.approx(trained.logs, rel=0.1)
    assert disk.peak == pytest.approx(trained.largest, rel=0.1)


def test_the_time_of_a_run_lies_in_the_range(trained: Trained) -> None:
    took = trained.attended / (sum(trained.tokens_per_second) / len(trained.tokens_per_second))
    machine = replace(Machine.here(Path()), speed=lambda _: trained.matrix_speed)
    time = estimates_of(trained.spec, machine=machine).time
    assert time.basis == "computed"
    assert time.low < took < time.high
    assert time.low < time.likely < time.high


def test_earlier_runs_of_the_same_kind_tell_the_time() -> None:
    spec = RunSpec.parse(SHORT)
    other = spec.replace({"training.adapter": "lora"})
    earlier = [Earlier(spec, speed) for speed in (500.0, 1000.0, 800.0, 900.0, 90.0)] + [Earlier(other, 7.0)]
    found = estimates_of(spec, earlier=earlier)
    tokens = spec.training.epochs * (found.tokens.prompt + found.tokens.response)
    assert (found.time.likely, found.time.basis) == (tokens / 800, "measured")
    assert (found.time.low, found.time.high) == (tokens / 900, tokens / 500), "quartiles, whatever the slowest took"
    assert "5 earlier runs" in found.time.explanation
    once = estimates_of(spec, earlier=earlier[:1])
    assert once.time.low == once.time.likely == once.time.high == tokens / 500
    # Of a machine elsewhere, without such a run, nothing is known.
    assert estimates_of(spec).time is None


def test_a_part_of_the_data_stands_for_all_of_it(trained_on: Callable[..., dict[str, Any]]) -> None:
    run = trained_on([*ROWS, *((f"Again {number}?", "Yes it is.") for number in range(400))], held_out=0)
    whole, part = look(run).estimates, look(run, most_characters=4000).estimates
    assert whole.tokens
    assert part.tokens
    assert whole.steps
    assert part.tokens.counted < whole.tokens.counted == whole.tokens.examples == part.tokens.examples
    assert part.steps == whole.steps
    assert part.tokens.response == pytest.approx(whole.tokens.response, rel=0.05)


def test_a_part_that_is_too_long_says_nothing_of_the_rest(trained_on: Callable[..., dict[str, Any]]) -> None:
    run = trained_on([("1" * 200, "2"), *ROWS], held_out=0, max_length=100, overlong="drop")
    found = look(run, most_characters=201)
    assert (found.problems, found.estimates.tokens) == ([], None)
    assert look(run).estimates.tokens
    nothing = look(trained_on([("1" * 200, "2")], held_out=0, max_length=100, overlong="drop"))
    assert [problem.field for problem in nothing.problems] == ["data.source"]


def test_every_family_is_looked_at_without_its_weights(folder: Path, kind: str) -> None:
    run = changed(("model.name", str(folder)), ("data.overlong", "truncate"))
    found = look(run, local_models=True, machine=Machine.here(folder))
    assert found.problems == []
    assert found.estimates.disk
    network = load_base(str(folder)).network
    assert count_weights(folder) == sum(weight.numel() for weight in network.parameters())
    # The sizes of other bodies than Llama's do not tell what they need.
    known = kind not in ("bert", "modernbert", "eurobert")
    assert (found.estimates.memory is not None, found.estimates.time is not None) == (known, known)
    assert "learning_rate" not in codes(found)
    assert {problem.field for problem in look(run).problems} == {"model.name"}
