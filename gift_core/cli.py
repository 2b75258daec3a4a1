"""The `gift` command: what the browser does, on the command line."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from gift_core.cli_check import check_data, datasets, is_in_catalogue
from gift_core.cli_common import (
    Changes,
    check_resumable,
    console,
    fetch,
    parse_changes,
    say_finished,
)
from gift_core.cli_denoise import compare, denoise
from gift_core.cli_evaluate import evaluate
from gift_core.cli_export import export, push
from gift_core.cli_harness import HANDED_OVER, lm_eval
from gift_core.cli_inspect import inspect, inspect_data
from gift_core.cli_preflight import check
from gift_core.cli_submit import submit
from gift_core.errors import GiftError, ModelError, SpecError, StoppedError
from gift_core.escaping import escaped
from gift_core.recovery import check_inputs_of, is_finished
from gift_core.reporting import RECORD_FILE
from gift_core.spec import METHODS, ExperimentSpec, RunSpec, field_table

HELP = """Fine-tune masked diffusion language models with GIFT, and see what it does.

Start with `gift train --method sft --method gift`, then look at the result:
`gift inspect runs/gift` and `gift denoise runs/sft runs/gift`, and take it away: `gift export runs/gift my-model`.
"""
app = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode="markdown", add_completion=False)


def main() -> None:
    """Run the command; an error meant for the user is one red message and exit code 1."""
    # Remarks that a user can do nothing about: bitsandbytes looks for kernels that it can do without, and peft calls
    # checkpointing by its old name.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
    _add_commands()
    try:
        app(standalone_mode=True)
    except StoppedError as error:
        console.print(escape(escaped(str(error))), highlight=False)
        sys.exit(130)
    except GiftError as error:
        for problem in error.problems:
            console.print(f"[red]{error.code}[/red]", escape(escaped(str(problem))), highlight=False)
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        remedy = "Check the path, who may write there, and the free space."
        console.print("[red]files[/red]", escape(escaped(f"{where}. {remedy}")), highlight=False)
        sys.exit(1)


@app.command(epilog="Fields for `--set`:\n\n" + "\n\n".join(f"`{name}` {text}" for name, text in field_table(RunSpec)))
def train(
    spec_file: Annotated[
        Path | None, typer.Argument(help="A YAML file of the spec; the defaults when left out.")
    ] = None,
    output: Annotated[
        Path, typer.Option(help="Folder for metrics, checkpoint and result, one below it per run.", file_okay=False)
    ] = Path("runs"),
    data: Annotated[
        Path | None,
        typer.Option(
            help="Train on this JSONL, JSON, CSV or Parquet file instead of the spec's data, or on a data set that "
            "`gift datasets` lists, such as s1k."
        ),
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(METHODS)}; repeat for a paired experiment.")
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Repeat for several seeds.")] = None,
    changes: Changes = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what an earlier start of the same command left unfinished.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Train three steps, print what the runs would take, and keep nothing."),
    ] = False,
    rate_cache: Annotated[
        Path | None, typer.Option(help="Folder of frozen rates, shared by runs; `.rates` in --output when left out.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: print the plans as JSON.")] = False,
    print_spec: Annotated[bool, typer.Option(help="Print the spec as YAML and stop.")] = False,
) -> None:
    """Train one run, or several that share data order, diffusion times and mask draws.

    Ctrl-C stops after the current step and writes a checkpoint; the same command with --resume goes on from there. On
    several GPUs, start it with accelerate and one of the files in configs/.
    """
    base = RunSpec.from_yaml(spec_file) if spec_file else RunSpec()
    base = base.replace(_data_source(data) | parse_changes(changes or []))
    if print_spec:
        sys.stdout.write(base.to_yaml())
        return
    experiment = ExperimentSpec.parse(
        {"run": base, "methods": method or [base.objective.method], "seeds": seed or [base.seed]}
    )
    fetch(base.model.name)
    runs = [(label, spec, output / label.lower().replace(" ", "-")) for label, spec in experiment.expand()]
    rates = rate_cache or output / ".rates"
    if dry_run:
        from gift_core.forecast import plan_runs, print_plans

        print_plans(plan_runs([(label, spec) for label, spec, _ in runs], rates, console), as_json)
        return
    from gift_core.progress import train_with_progress

    # All are looked at before the first is trained: an hour later is late to hear that the second cannot be.
    for label, spec, directory in [run for run in runs if _is_to_be_trained(run[1], run[2], resume)]:
        result = train_with_progress(label, spec, directory, rates, resume, console)
        if result is not None:
            sys.stdout.write(json.dumps({"run": str(directory), **result}) + "\n")


def _data_source(data: Path | None) -> dict[str, Any]:
    """The change of a spec that trains it on a file, or on a data set of the catalogue."""
    if data is None:
        return {}
    name = str(data)
    return {"data.source": {"dataset": name} if is_in_catalogue(name) else {"kind": "file", "dataset": name}}


def _is_to_be_trained(spec: RunSpec, directory: Path, resume: bool) -> bool:
    """Whether a run is not finished; raises `SpecError` if it is another run, or may not be resumed."""
    finished = is_finished(directory)
    if not check_resumable(directory, finished=finished, resume=resume):
        return True
    from gift_core.run import inputs_of

    check_inputs_of(directory, spec, lambda recorded: inputs_of(spec, Path, recorded=recorded))
    if finished:
        say_finished(directory)
    return not finished


app.command()(inspect)
app.command()(inspect_data)
app.command()(check_data)
app.command()(datasets)
app.command()(denoise)
app.command()(evaluate)
app.command()(compare)
app.command()(check)
app.command()(submit)


@app.command()
def download(name: Annotated[str, typer.Argument(help="owner/name of the Hub, with @revision if need be.")]) -> None:
    """Fetch a model's weights, config and tokenizer into the local Hub cache, without any code; prints its commit.

    A model that asks who you are needs HF_TOKEN in the environment.
    """
    from gift_core.models.hub import HubName

    if HubName.parse(name) is None:
        raise ModelError(f"{name!r} is not owner/name.", field="name", remedy="Write GSAI-ML/LLaDA-8B-Instruct.")
    fetch(name)
    from gift_core.models.catalogue import pinned_name

    sys.stdout.write(pinned_name(name) + "\n")


@app.command()
def convert(
    source: Annotated[str, typer.Argument(help="A causal Llama, Qwen2 or Qwen3: a folder, or owner/name of the Hub.")],
    target: Annotated[Path, typer.Argument(help="Folder for the bidirectional model.")],
) -> None:
    """Make a bidirectional model from a causal one; it has to be trained before it fills in masks."""
    from gift_core.models.conversion import convert_causal

    _refuse_existing(target)
    fetch(source)
    convert_causal(source, target)


app.command()(export)
app.command()(push)
app.command(context_settings=HANDED_OVER)(lm_eval)


@app.command()
def pretrain(
    output: Annotated[Path, typer.Argument(help="Folder for the new base model and its record.", file_okay=False)],
    examples: Annotated[int, typer.Option(help="Generated problems to train on.", min=64, max=100_000)] = 60_000,
    seed: Annotated[int, typer.Option(help="Seed of the data and the weights.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what an earlier start left unfinished.")] = False,
) -> None:
    """Make the bundled tiny base again, from nothing: half an hour on two cores.

    Leaves the model in OUTPUT/checkpoint, the curves in metrics.jsonl, and spec and scores in record.json.
    """
    from gift_core.pretraining import check_pretraining
    from gift_core.progress import pretrain_with_progress

    finished = (output / RECORD_FILE).exists()
    if check_resumable(output, finished=finished, resume=resume):
        check_pretraining(output, examples, seed)
    if finished:
        say_finished(output)
        return
    record = pretrain_with_progress(output, examples, seed, resume, console)
    sys.stdout.write(json.dumps(record["scores"], indent=2) + "\n")


@app.command()
def record(output: Annotated[Path, typer.Argument(help="Folder for the recording.", file_okay=False)]) -> None:
    """Make the recorded example again, which a new studio shows: two small runs, and what they answer."""
    from gift_core.progress import record_with_progress

    recording = record_with_progress(output, console)
    sys.stdout.write(f"{output}: {', '.join(recording.runs)}\n")


def _add_commands() -> None:
    """What the studio's packages add, where they are installed: the library knows none of them."""
    for entry in sorted(entry_points(group="gift.commands")):
        found = entry.load()
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=entry.name)
        else:
            app.command(entry.name)(found)


def _refuse_existing(target: Path) -> None:
    if target.exists():
        raise SpecError(f"{target} exists already.", field="target", remedy="Choose another folder.")
