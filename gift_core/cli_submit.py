"""`gift submit`: hands a training to Slurm."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gift_core.cli_common import Changes, console, parse_changes
from gift_core.errors import SpecError
from gift_core.reporting import write_atomically
from gift_core.spec import METHODS

if TYPE_CHECKING:
    from gift_core.spec import ExperimentSpec

_SUBMITTED = "submitted"


def submit(
    spec_file: Annotated[
        Path | None, typer.Argument(help="YAML of a run or an experiment; SFT + GIFT with defaults when left out.")
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(METHODS)}; may be repeated.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Repeat for several seeds.")] = None,
    changes: Changes = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the job; the experiment's or the file's if left out.")
    ] = None,
    output: Annotated[
        Path, typer.Option(help="Folder for the runs and the job's log, on a disk that all nodes see.", file_okay=False)
    ] = Path("runs"),
    nodes: Annotated[int, typer.Option(help="Nodes; all train the same run, one run after the other.", min=1)] = 1,
    gpus: Annotated[int, typer.Option(help="GPUs of each node, a process for each; 0 for CPU.", min=0)] = 1,
    cpus: Annotated[
        int | None, typer.Option(help="CPUs of each node; the cluster's default if left out.", min=1)
    ] = None,
    time: Annotated[str | None, typer.Option(help="Longest time, as Slurm writes it: 12:00:00.")] = None,
    partition: Annotated[str | None, typer.Option(help="Partition.")] = None,
    account: Annotated[str | None, typer.Option(help="Account that pays.")] = None,
    accelerate: Annotated[
        Path | None,
        typer.Option(help="Start with accelerate and this config, such as configs/fsdp.yaml; torchrun if left out."),
    ] = None,
    template: Annotated[
        Path | None, typer.Option(help="Jinja template of the script; a bundled one if left out.")
    ] = None,
    value: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A value for a template of your own.")
    ] = None,
    sbatch: Annotated[
        list[str] | None, typer.Option(metavar="OPTION", help="For sbatch itself: --sbatch=--qos=high.")
    ] = None,
    print_template: Annotated[
        bool, typer.Option("--print-template", help="Print the bundled template, to be changed, and stop.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the script; nothing is written or asked.")] = False,
) -> None:
    """Hand a training to Slurm: on one GPU, on several, or on several nodes.

    `gift submit spec.yaml --gpus 4 --time 12:00:00 --partition gpu`

    `gift submit spec.yaml --nodes 2 --gpus 8 --accelerate configs/fsdp.yaml --dry-run`

    `gift submit --print-template > slurm.sh.j2`, then `gift submit spec.yaml --template slurm.sh.j2`

    What is trained is what the spec said when it was submitted. A job that Slurm begins again, or that is submitted
    again, goes on from its last checkpoint.
    """
    from gift_core.experiment_file import changed_experiment, load_experiment
    from gift_core.slurm import bundled_template, render
    from gift_core.slurm import submit as hand_over

    if print_template:
        sys.stdout.write(bundled_template())
        return
    experiment = changed_experiment(load_experiment(spec_file), parse_changes(changes or []), method, seed, name)
    _check_batch(experiment, nodes * max(gpus, 1))
    folder = output.absolute()
    spec = folder / _SUBMITTED / f"{experiment.run.fingerprint()[:16]}.yaml"
    values: dict[str, Any] = {
        "name": experiment.name or (spec_file.stem if spec_file else "gift"),
        "nodes": nodes,
        "gpus": gpus,
        "cpus": cpus,
        "time": time,
        "partition": partition,
        "account": account,
        "processes_per_node": max(gpus, 1),
        "processes": nodes * max(gpus, 1),
        "accelerate": _readable(accelerate, "--accelerate") if accelerate else None,
        "folder": Path.cwd(),
        "output": folder,
        "spec": spec,
        "python": sys.executable,
        "train": _train(experiment, spec, folder),
    }
    values |= _own_values(value or [], values)
    text = _readable(template, "--template").read_text("utf-8") if template else bundled_template()
    script = render(text, values, template.name if template else "the bundled template")
    if dry_run:
        sys.stdout.write(script)
        return
    spec.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(spec, experiment.run.to_yaml())
    job = hand_over(script, folder, sbatch or [])
    sys.stdout.write(f"{job}\n")
    where = folder / f"slurm-{job}.out"
    console.print(f"Submitted as job {job}; its log is {where}.", markup=False, highlight=False, soft_wrap=True)


def _train(experiment: ExperimentSpec, spec: Path, output: Path) -> list[str]:
    """What Python is to run."""
    methods = [part for method in experiment.methods for part in ("--method", method)]
    seeds = [part for seed in experiment.seeds for part in ("--seed", str(seed))]
    return ["-m", "gift_core", "train", str(spec), *methods, *seeds, "--output", str(output), "--resume"]


def _check_batch(experiment: ExperimentSpec, processes: int) -> None:
    """Raises `SpecError` now for what would be refused after hours in a queue."""
    training = experiment.run.training
    least = processes * (training.micro_batch_size or 1)
    if training.batch_size % least:
        raise SpecError(
            f"{training.batch_size} sequences cannot be divided over {processes} processes.",
            field="training.batch_size",
            remedy=f"Choose a multiple of {least}, or other --nodes and --gpus.",
        )


def _readable(path: Path, option: str) -> Path:
    if not path.is_file():
        raise SpecError(f"There is no file {path}.", field=option, remedy="Check the path.")
    return path.absolute()


def _own_values(given: list[str], taken: dict[str, Any]) -> dict[str, str]:
    values = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or not name.isidentifier() or name in taken:
            raise SpecError(
                f"{text!r} is not NAME=VALUE with a name of your own.",
                field="--value",
                remedy=f"These are taken: {', '.join(sorted(taken))}.",
            )
        values[name] = value
    return values
