from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gift_core.conftest import Here


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    environment = {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
        "HOME": str(cwd),
    }
    command = [sys.executable, "-m", "gift_core", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=cwd, env=environment, stdout=pipe, stderr=pipe, text=True)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


SMALL = ("data.source.examples=16", "data.held_out=2", "training.batch_size=8", "evaluation.score=false")


def changes(*more: str) -> list[str]:
    return [part for change in (*SMALL, *more) for part in ("--set", change)]


def test_train_inspect_and_denoise_as_the_readme_says(gift_here: Here) -> None:
    small = changes("training.epochs=1", "evaluation.score=true")
    code, trained, complaint = gift_here("train", "--method", "sft", "--method", "gift", *small)
    assert code == 0, complaint
    results = [json.loads(line) for line in trained.splitlines()]
    assert [result["run"] for result in results] == ["runs/sft", "runs/gift"]

    code, seen, complaint = gift_here("inspect", "tiny", "runs/gift", "--json")
    assert code == 0, complaint
    assert [part["label"] for part in json.loads(seen)["checkpoints"]] == ["tiny", "runs/gift"]

    code, played, complaint = gift_here("denoise", "runs/sft", "runs/gift")
    assert code == 0, complaint
    assert "runs/gift" in played

    code, _, complaint = gift_here("train", "--method", "sft", *small)
    assert code == 1
    assert "already holds a finished run" in complaint


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("train", "--set", "training.learning_rate=abc"), 'training.learning_rate: "abc" is not a number. Try 0.0005'),
        (("train", "--set", "seed=0x10"), 'seed: "0x10" is not a whole number.'),
        (("train", "--set", "nonsense"), "FIELD=VALUE"),
        (("train", "--set", "model.name=nothing"), "no base model called 'nothing'"),
        (("train", "missing.yaml"), "missing.yaml"),
        (("train", "--output", "/dev/null/runs"), "/dev/null/runs/gift: Not a directory"),
        (("denoise", "nothing"), "no base model called 'nothing'"),
        (("denoise", "tiny", "--given", "4096:x"), "--given.position"),
        (("denoise", "tiny", "--given", "²:x"), "is not POSITION:TEXT"),
        (("denoise", "tiny", "--at", "3"), "no trace to leave"),
        (("denoise", "tiny", "--branch", "it.json", "--length", "7"), "settings and seed of its trace: --length"),
        (("compare", "a.json", "b.json"), "a.json is no trace"),
        (("inspect", "tiny", "--prompt", "hello"), "--response"),
    ],
)
def test_a_mistake_is_one_message_and_no_traceback(arguments: tuple[str, ...], expected: str, gift_here: Here) -> None:
    code, _, complaint = gift_here(*arguments)
    assert code != 0
    assert expected in complaint
    assert "Traceback" not in complaint


def test_the_printed_spec_is_a_spec_file(gift_here: Here, tmp_path: Path) -> None:
    _, printed, _ = gift_here("train", "--set", "training.epochs=3", "--print-spec")
    (tmp_path / "spec.yaml").write_text(printed)
    assert gift_here("train", "spec.yaml", "--print-spec")[1] == printed
    assert "epochs: 3" in printed


def test_what_set_was_given_is_what_the_field_says(gift_here: Here) -> None:
    typed = ("sampling.suppress_eos=no", "seed=010", "training.batch_size=1_6", "evaluation.score=off")
    source = ("data.source={kind: file, dataset: 2024-01-01}", "data.source.conversation_column=2023")
    sets = [part for change in (*typed, *source) for part in ("--set", change)]
    code, printed, complaint = gift_here("train", *sets, "--print-spec")
    assert code == 0, complaint
    for line in ("suppress_eos: 'no'", "seed: 10", "batch_size: 16", "score: false", "conversation_column: '2023'"):
        assert line in printed
    assert "dataset: '2024-01-01'" in printed


def test_rows_are_read_from_columns_that_look_like_other_values(gift_here: Here, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("2023,no,null\nWhat is 1 + 1?,2,x\nWhat is 1 + 2?,3,y\n")
    for prompt, response in (("2023", "no"), ("no", "2023"), ("2023", "null")):
        columns = changes(f"data.source.prompt_column={prompt}", f"data.source.response_column={response}")
        # The data set's own options come first; SMALL's are those of a task.
        code, said, complaint = gift_here(
            "check", "--data", "rows.csv", "--json", "--set", "data.held_out=0", *columns[-4:]
        )
        assert code == 0, said + complaint
        assert json.loads(said)["estimates"]["tokens"]["examples"] == 2


def test_help_lists_the_fields_of_the_spec(gift_here: Here) -> None:
    code, shown, _ = gift_here("train", "--help")
    assert code == 0
    assert "training.learning_rate" in shown


def test_dry_run_prints_the_plan_of_each_run_and_trains_none(gift_here: Here, tmp_path: Path) -> None:
    code, planned, complaint = gift_here("train", "--method", "sft", "--method", "gift", "--dry-run", *changes())
    assert code == 0, complaint
    for row in ("SFT", "GIFT", "response tokens per epoch", "share of the loss on the tail", "activations", "time"):
        assert row in planned
    assert list(tmp_path.glob("runs/*")) == []
    _, as_json, _ = gift_here("train", "--method", "sft", "--dry-run", "--json", *changes())
    assert json.loads(as_json)["SFT"]["steps"] == 20


@pytest.mark.slow
def test_interrupted_and_resumed_as_the_help_says(gift_here: Here, tmp_path: Path) -> None:
    arguments = ["train", "--method", "sft", "--method", "gift", *changes("training.epochs=400")]
    running = start(*arguments, cwd=tmp_path)
    metrics = tmp_path / "runs" / "sft" / "metrics.jsonl"
    wait_for(lambda: metrics.exists() and '"loss"' in metrics.read_text())
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 130, said
    assert "stopped after step" in said
    assert "--resume" in said

    code, _, complaint = gift_here(*arguments)
    assert (code, "Add --resume" in complaint) == (1, True)
    code, _, complaint = gift_here("train", "--method", "sft", "--resume", *changes("training.epochs=401"))
    assert (code, "training.epochs" in complaint) == (1, True)


def test_resume_finishes_what_is_left_of_an_experiment(gift_here: Here) -> None:
    arguments = ["train", "--method", "sft", "--method", "gift", "--resume", *changes("training.epochs=1")]
    code, _, complaint = gift_here(*arguments[:3], *changes("training.epochs=1"))
    assert code == 0, complaint
    code, rest, complaint = gift_here(*arguments)
    assert code == 0, complaint
    assert [json.loads(line)["run"] for line in rest.splitlines()] == ["runs/gift"]


def test_frozen_rates_are_shared_by_the_runs_of_a_folder(gift_here: Here) -> None:
    few = changes("objective.probe=frozen", "training.epochs=1")
    code, _, said = gift_here("train", "--method", "gift", "--method", "shuffled", *few)
    assert code == 0, said
    assert "GIFT: rates computed 18, reused 0" in said
    assert "SHUFFLED: rates computed 0, reused 18" in said


def test_check_data_says_what_a_file_holds_or_everything_that_is_wrong(gift_here: Here, tmp_path: Path) -> None:
    path, table = tmp_path / "rows.jsonl", tmp_path / "problems.csv"
    path.write_text("".join(json.dumps({"q": f"{n}", "a": "1"}) + "\n" for n in range(3)))
    columns = ("--prompt-column", "q", "--response-column", "a")
    code, said, _ = gift_here("check-data", str(path), *columns, "--json")
    assert (code, json.loads(said)["rows"]) == (0, 3)
    assert "No prompt and response found" in gift_here("check-data", str(path))[1]
    path.write_text("".join(json.dumps({"q": "", "a": "1"}) + "\n" for _ in range(321)))
    code, said, counted = gift_here("check-data", str(path), *columns)
    assert [line.split(":")[0] for line in said.splitlines()] == [f"row {n}" for n in range(1, 322)]
    assert (code, "321 problems" in counted) == (1, True)
    assert gift_here("check-data", str(path), *columns, "--csv", str(table))[:2] == (1, "")
    assert len(table.read_text().splitlines()) == 322
