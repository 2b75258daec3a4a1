"""`gift inspect` and `gift inspect-data`: what checkpoints are unsure of, in one text and over a data set."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gift_core.cli_common import (
    CHECKPOINTS_HELP,
    AsJson,
    Changes,
    Prompt,
    TaskOption,
    console,
    open_model,
    parse_changes,
    prompt_and_response,
)
from gift_core.errors import SpecError
from gift_core.escaping import escaped_json
from gift_core.positions import parse_positions
from gift_core.reporting import SPEC_FILE
from gift_core.spec import ObjectiveSpec, RunSpec, Weighting

if TYPE_CHECKING:
    from gift_core.models.loading import DiffusionModel

Checkpoints = Annotated[list[str], typer.Argument(help=CHECKPOINTS_HELP)]


def inspect(
    checkpoints: Checkpoints,
    prompt: Prompt = None,
    task: TaskOption = "sudoku",
    response: Annotated[str | None, typer.Option(help="The response whose tokens to look at.")] = None,
    power: Annotated[float, typer.Option(help="Masking rate beta_i = H_i ** power.")] = 0.5,
    t: Annotated[
        float, typer.Option(help="Diffusion time for the masking probability t_i.", min=0.001, max=0.999)
    ] = 0.5,
    weighting: Annotated[Weighting, typer.Option(help="What a masked token weighs.")] = "inverse",
    masked: Annotated[
        str | None,
        typer.Option("--mask", metavar="POSITIONS", help="Ask again with only these masked, such as 3,5-9."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Entropy of every response token with all of the response masked, how often GIFT masks it, and its weight.

    Masking is shown at time t and on average over t.
    """
    from gift_core.inspection import inspect as inspect_text
    from gift_core.inspection_tables import print_inspection

    prompt, response = prompt_and_response(prompt, response, task)
    objective = ObjectiveSpec.parse({"power": power, "weighting": weighting})
    positions = None if masked is None else parse_positions(masked, "--mask")
    models = [(name, name, open_model(name)) for name in checkpoints]
    result = inspect_text(models, prompt, response, objective, masked=positions, times=[t])
    if as_json:
        sys.stdout.write(escaped_json(result.model_dump_json(indent=2)) + "\n")
    else:
        print_inspection(result, weighting)


def inspect_data(
    checkpoints: Checkpoints,
    data: Annotated[Path | None, typer.Option(help="A JSONL, JSON, CSV or Parquet file.")] = None,
    task: Annotated[str | None, typer.Option(help="A built-in task.")] = None,
    examples: Annotated[int, typer.Option(help="Look at no more than this many.", min=1)] = 256,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="The held-out examples, not those learned from.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the choice.", min=0)] = 0,
    listed: Annotated[int, typer.Option(help="Tokens to list at either end.", min=1, max=1000)] = 15,
    minimum_count: Annotated[int, typer.Option("--min-count", help="Occurrences that a token needs.", min=1)] = 5,
    changes: Changes = None,
    rate_cache: Annotated[
        Path | None, typer.Option(help="Folder of frozen rates, such as runs/.rates: found there, and kept.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one document.")] = False,
) -> None:
    """Which tokens of a data set checkpoints are most and least sure of, by class and place, and how rates spread.

    Looks at what the first checkpoint learned from, if it is a run; --data, --task and --set say otherwise.
    """
    from gift_core.data.sources import load_split
    from gift_core.dataset_inspection import DatasetOptions, inspect_dataset
    from gift_core.inspection_tables import print_dataset

    spec = _spec(checkpoints[0], data, task, changes or [])
    split = load_split(spec.data, Path)
    options = DatasetOptions(examples, seed, listed, minimum_count, rate_cache=rate_cache)
    chosen = split.held_out if held_out else split.training
    with _progress() as bar:
        tasks = {name: bar.add_task(name, total=None) for name in dict.fromkeys(checkpoints)}

        def show(label: str, done: int, total: int) -> None:
            bar.update(tasks[label], completed=done, total=total)

        result = inspect_dataset(_opened(checkpoints), chosen, spec, options, show)
    if as_json:
        sys.stdout.write(escaped_json(result.model_dump_json(indent=2)) + "\n")
    else:
        print_dataset(result)


def _opened(names: list[str]) -> Iterator[tuple[str, str, DiffusionModel]]:
    # One model after the other: the memory may not hold two.
    for name in names:
        yield name, name, open_model(name)


def _spec(first: str, data: Path | None, task: str | None, changes: list[str]) -> RunSpec:
    """The spec of the first checkpoint's run, or the defaults, with the source that was asked for."""
    if data and task:
        raise SpecError("--data and --task are two sources.", field="--data", remedy="Give one of them.")
    own = Path(first) / SPEC_FILE
    spec = RunSpec.from_yaml(own) if own.is_file() else RunSpec()
    source: dict[str, object] = {}
    if data:
        source = {"data.source": {"kind": "file", "dataset": str(data)}}
    elif task:
        source = {"data.source": {"kind": "task", "task": task}}
    return spec.replace(source | parse_changes(changes))


def _progress() -> Progress:
    columns = (TextColumn("{task.description} probing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)
