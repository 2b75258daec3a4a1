"""`gift denoise` and `gift compare`: watching a response come about, and where two of them part."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.markup import escape

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
from gift_core.errors import SpecError, problems_of
from gift_core.escaping import escaped_json, escaped_line
from gift_core.spec import SamplingSpec, field_table
from gift_core.trace import Edit, Trace, load_trace, save_trace

if TYPE_CHECKING:
    from gift_core.models.loading import DiffusionModel
    from gift_core.tracing import Beginning

_OF_THE_FAMILY = "What suits the first model's family when left out."
_FIELDS = "\n\n".join(f"`{name}` {text}" for name, text in field_table(SamplingSpec))
TraceFile = Annotated[Path, typer.Argument(help="A trace that `gift denoise --save` or the studio wrote.")]


def denoise(
    checkpoints: Annotated[list[str], typer.Argument(help=CHECKPOINTS_HELP)],
    prompt: Prompt = None,
    task: TaskOption = "sudoku",
    seed: Annotated[int, typer.Option(help="Keys the noise; unused at temperature 0.", min=0, max=2**32 - 1)] = 0,
    length: Annotated[int | None, typer.Option(help=f"Tokens to generate. {_OF_THE_FAMILY}")] = None,
    block_length: Annotated[int | None, typer.Option(help=f"Tokens denoised together. {_OF_THE_FAMILY}")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps; one per token when left out.")] = None,
    temperature: Annotated[float, typer.Option(help="0 takes the argmax.")] = 0.0,
    changes: Changes = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            metavar="POSITION:TEXT",
            help="Fix text of the response (infill, or an edit with --branch); `POSITION:` alone masks it again.",
        ),
    ] = None,
    branch: Annotated[Path | None, typer.Option(help="Go on from a saved trace, with its prompt and settings.")] = None,
    at: Annotated[int | None, typer.Option(help="With --branch: after so many of its steps.", min=0)] = None,
    save: Annotated[
        Path | None, typer.Option(help="Folder for the traces, one file for each checkpoint.", file_okay=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fill one prompt step by step, with the same noise for every checkpoint. Ctrl-C stops it."""
    from gift_core.terminal import watch
    from gift_core.tracing import assembled, trace_steps

    edits = [_edit(text) for text in given or []]
    own: dict[str, object] = {
        "--prompt": prompt,
        "--length": length,
        "--block-length": block_length,
        "--steps": steps,
        "--set": changes,
        "--seed": seed or None,
        "--temperature": temperature or None,
    }
    _check_branch(branch, at, [name for name, value in own.items() if value is not None])
    parent = load_trace(branch) if branch else None
    traces: list[Trace] = []
    sampling: SamplingSpec | None = None
    if parent is None:
        prompt, _ = prompt_and_response(prompt, "unused", task)
    else:
        prompt, sampling, seed = parent.start.prompt_text, parent.start.sampling, parent.start.seed
    # One model after the other: the memory may not hold two.
    for name in checkpoints:
        model = open_model(name)
        sampling = sampling or _sampling(model.family.sampling, length, block_length, steps, temperature, changes)
        beginning = _beginning(model, edits, sampling, parent, at or 0, branch)
        events = trace_steps(model, prompt, sampling, seed, checkpoint=name, label=name, beginning=beginning)
        traces.append(assembled(events if as_json else watch(events)))
        del model
        if save:
            path = save / f"{len(traces)}-{Path(name).name}.trace.json.gz"
            save_trace(traces[-1], path)
            console.print(f"Saved {escape(escaped_line(str(path)))}", highlight=False)
    if as_json:
        sys.stdout.write(json.dumps([item.model_dump(mode="json") for item in traces], indent=2) + "\n")


denoise.__doc__ = f"{denoise.__doc__}\n\nFields for `--set`:\n\n{_FIELDS}"


def compare(first: TraceFile, second: TraceFile, as_json: AsJson = False) -> None:
    """Where two traces part, and how they differ at every position."""
    from gift_core.comparison import compare as compare_traces
    from gift_core.terminal import print_comparison

    traces = load_trace(first), load_trace(second)
    found = compare_traces(*traces)
    if as_json:
        sys.stdout.write(escaped_json(found.model_dump_json(indent=2)) + "\n")
    else:
        print_comparison(found, *traces)


def _beginning(
    model: DiffusionModel,
    edits: list[Edit],
    sampling: SamplingSpec,
    parent: Trace | None,
    cursor: int,
    path: Path | None,
) -> Beginning:
    from gift_core.tracing import branch, infill

    if parent is None or path is None:
        return infill(model, edits, sampling.length)
    return branch(parent, cursor, edits, model, path.name)


def _check_branch(branch: Path | None, at: int | None, own: list[str]) -> None:
    """Raises `SpecError` about options that would have no effect."""
    if branch and own:
        raise SpecError(
            f"A branch has the prompt, settings and seed of its trace: {', '.join(own)} would change nothing.",
            field="--branch",
            remedy="Leave them out, or denoise anew.",
        )
    if at is not None and not branch:
        raise SpecError("There is no trace to leave.", field="--at", remedy="Name one with --branch.")


def _edit(text: str) -> Edit:
    position, separator, standing = text.partition(":")
    if not separator or not re.fullmatch("[0-9]{1,6}", position):
        raise SpecError(f"{text!r} is not POSITION:TEXT.", field="--given", remedy="Write --given '0:<reasoning>'.")
    try:
        return Edit(position=int(position), text=standing or None)
    except ValidationError as error:
        raise SpecError.of(problems_of(error, ("--given",))) from error


def _sampling(
    usual: SamplingSpec,
    length: int | None,
    block_length: int | None,
    steps: int | None,
    temperature: float,
    changes: list[str] | None,
) -> SamplingSpec:
    """What was asked for, and the family's usual values where nothing was."""
    length = usual.length if length is None else length
    asked: dict[str, Any] = {
        "length": length,
        "block_length": min(length, usual.block_length) if block_length is None else block_length,
        "steps": length if steps is None else steps,
        "temperature": temperature,
    }
    return SamplingSpec.parse(usual.model_dump() | asked | parse_changes(changes or [], SamplingSpec))
