"""`gift submit`: the script that a template gives, run by a real shell, and what sbatch says."""

from __future__ import annotations

import os
import shlex
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gift_core.errors import SpecError
from gift_core.slurm import bundled_template, render
from gift_core.spec import RunSpec
from tests.gift_core.conftest import Here

# Runs as soon as any shell sees it outside of quotes, whatever stands around it.
HOSTILE = 'x\'; touch pwned; "$(touch pwned)" `touch pwned` \\ #'

SBATCH = """#!/bin/bash
printf '%s\\n' "$@" > {folder}/arguments
cat > {folder}/script
pwd > {folder}/where
{ending}
"""
# Stands for Slurm's own: keeps what it was to start instead of starting it.
SRUN = """#!/bin/bash
printf '%s\\0' "$@" > {folder}/started
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that are found first."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    program(folder, "srun", SRUN.format(folder=folder))
    program(folder, "scontrol", "#!/bin/bash\necho first\necho second\n")
    return folder


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def sbatch(folder: Path, ending: str) -> None:
    program(folder, "sbatch", SBATCH.format(folder=folder, ending=ending))


def started(tools: Path, script: str, cwd: Path) -> list[str]:
    """What the script has Slurm start, run by a real shell."""
    environment = {"PATH": os.environ["PATH"], "SLURM_JOB_ID": "77", "SLURM_JOB_NODELIST": "n[1-2]"}
    subprocess.run(["bash"], input=script, cwd=cwd, env=environment, text=True, check=True, timeout=20)
    return (tools / "started").read_text().split("\0")[:-1]


def test_a_training_is_handed_over_and_its_job_reported(gift_here: Here, tools: Path, tmp_path: Path) -> None:
    sbatch(tools, "echo '4711;cluster'")
    (tmp_path / "spec.yaml").write_text("training: {epochs: 3}")
    code, said, told = gift_here("submit", "spec.yaml", "--method", "sft", "--sbatch=--qos=high", "--output", "out")
    assert (code, said) == (0, "4711\n")
    assert "out/slurm-4711.out" in told
    assert (tools / "arguments").read_text().split() == ["--parsable", "--qos=high"]
    assert (tools / "where").read_text().strip() == str(tmp_path / "out")
    command = started(tools, (tools / "script").read_text(), tmp_path)
    (spec,) = [Path(word) for word in command if word.endswith(".yaml")]
    assert RunSpec.from_yaml(spec).training.epochs == 3
    assert command[1:4] == ["-m", "gift_core", "train"]
    assert command[-3:] == ["--output", str(tmp_path / "out"), "--resume"]


@pytest.mark.parametrize("more", [(), ("--gpus", "4"), ("--nodes", "2", "--gpus", "2", "--accelerate", "ddp.yaml")])
def test_no_name_and_no_path_becomes_a_command(gift_here: Here, tools: Path, tmp_path: Path, more: list[str]) -> None:
    (tmp_path / "ddp.yaml").write_text("{}")
    (tmp_path / "pair.yaml").write_text(RunSpec().to_yaml())
    hostile = ("--name", HOSTILE, "--output", f"{HOSTILE} out", "--partition", HOSTILE, "--time", HOSTILE)
    code, script, _ = gift_here("submit", "pair.yaml", *hostile, *more, "--dry-run")
    assert code == 0
    command = started(tools, script, tmp_path)
    assert str(tmp_path / f"{HOSTILE} out") in command
    assert not list(tmp_path.rglob("pwned"))
    (name,) = [line for line in script.splitlines() if line.startswith("#SBATCH --job-name=")]
    assert set(name.partition("=")[2]) <= set("abcdefghijklmnopqrstuvwxyz-")


def test_a_name_with_a_line_break_stays_in_its_comment(gift_here: Here) -> None:
    code, script, _ = gift_here("submit", "--name", "a\ntouch pwned", "--dry-run")
    assert code == 0
    assert "#SBATCH --job-name=a-touch-pwned\n" in script
    code, _, error = gift_here("submit", "--output", "a\ntouch pwned", "--dry-run")
    assert code == 1
    assert "line break" in error


def test_several_nodes_meet_on_the_first(gift_here: Here, tools: Path, tmp_path: Path) -> None:
    code, script, _ = gift_here("submit", "--nodes", "2", "--gpus", "4", "--dry-run")
    assert code == 0
    command = started(tools, script, tmp_path)
    assert "torch.distributed.run" in command
    options = dict(pairwise(command))
    assert (options["--nnodes"], options["--nproc-per-node"]) == ("2", "4")
    assert options["--rdzv-endpoint"] == "first:20077"
    assert "#SBATCH --gpus-per-node=4" in script


def test_a_dry_run_leaves_nothing(gift_here: Here, tools: Path, tmp_path: Path) -> None:
    assert gift_here("submit", "--dry-run")[0] == 0
    assert {path.name for path in tmp_path.iterdir()} == {"tools"}


@pytest.mark.parametrize(
    ("ending", "said"),
    [("echo 'Invalid partition' >&2; exit 1", "Invalid partition"), ("echo hello", "named no job")],
)
def test_what_sbatch_refuses_is_said(gift_here: Here, tools: Path, ending: str, said: str) -> None:
    sbatch(tools, ending)
    code, shown, error = gift_here("submit")
    assert (code, shown) == (1, "")
    assert said in error


def test_a_machine_without_slurm(gift_here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, error = gift_here("submit")
    assert code == 1
    assert "no sbatch here" in error
    assert "--dry-run" in error


def test_what_could_not_be_trained_is_refused_before_the_queue(gift_here: Here) -> None:
    code, _, error = gift_here("submit", "--gpus", "5", "--dry-run")
    assert code == 1
    assert "training.batch_size: " in error
    assert gift_here("submit", "--set", "training.epochs=no", "--dry-run")[0] == 1


def test_a_template_of_ones_own(gift_here: Here, tmp_path: Path) -> None:
    code, shown, _ = gift_here("submit", "--print-template")
    assert (code, shown) == (0, bundled_template())
    (tmp_path / "own.j2").write_text("#SBATCH --qos={{ qos | directive }}\n{{ python }} {{ train }}\n")
    code, shown, _ = gift_here("submit", "--template", "own.j2", "--value", "qos=high", "--dry-run")
    assert code == 0
    assert shown.startswith("#SBATCH --qos=high\n")
    for wrong in ("--template=gone.j2", "--value=nodes=3", "--value=qos"):
        assert gift_here("submit", wrong, "--dry-run")[0] == 1


@pytest.mark.parametrize(
    "template",
    ["{{ nobody }}", "{% if %}", "{{ ''.__class__.__mro__ }}", "{{ name.__init__.__globals__ }}", "{{ 1 / 0 }}"],
)
def test_a_template_that_is_wrong_or_reaches_further(template: str) -> None:
    with pytest.raises(SpecError) as refused:
        render(template, {"name": "x"})
    assert refused.value.problems[0].field == "--template"


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=40).filter(str.isprintable))
def test_whatever_is_put_in_stays_one_word(value: str) -> None:
    assert shlex.split(render("run {{ v }} {{ [v, v] }} {{ v ~ 'x' }}", {"v": value})) == [
        "run",
        *[value] * 3,
        value + "x",
    ]
