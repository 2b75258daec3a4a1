"""Looking at what checkpoints do: denoising step by step, and what they are unsure of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gift_core.cli_common import Changes, console, parse_changes
from gift_core.errors import SpecError
from gift_core.escaping import escaped_line
from gift_core.spec import SamplingSpec, Weighting
from ui.commands.connection import DEFAULT_SERVER, AsJson, Server, connect, resumed
from ui.commands.output import print_json

if TYPE_CHECKING:
    from gift_core.trace import Frame, TraceEnd, TraceStart
    from ui.commands.client import CommandClient

Checkpoints = Annotated[list[str], typer.Argument(help="Base models and runs, as `gift studio checkpoints` lists.")]
PromptOption = Annotated[str | None, typer.Option(help="The prompt; a held-out problem of --task when left out.")]
TaskOption = Annotated[str, typer.Option("--task", help="The built-in task that a prompt is taken from.")]


def denoise(
    checkpoints: Checkpoints,
    prompt: PromptOption = None,
    task: TaskOption = "sudoku",
    seed: Annotated[int, typer.Option(help="Keys the noise.", min=0, max=2**32 - 1)] = 1,
    changes: Changes = None,
    save: Annotated[
        Path | None, typer.Option(help="Folder for the traces, one file for each checkpoint.", file_okay=False)
    ] = None,
    as_json: AsJson = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Fill one prompt step by step with each checkpoint, on the same noise. Ctrl-C stops it.

    `gift studio denoise tiny run_x7c1 --task word_problems --set steps=24 --save traces`
    """
    from gift_core.terminal import watch
    from gift_core.trace import save_trace

    with connect(server, interrupted="Stopped.") as client:
        prompt = prompt if prompt is not None else _example(client, task)[0]
        sampling = parse_changes(changes or [], SamplingSpec) or None
        ids = [view.id for view in client.start_traces(checkpoints, prompt, sampling, seed)]
        try:
            for identity in ids:
                parts = _parts(client, identity)
                for _ in parts if as_json else watch(parts):
                    pass
        except KeyboardInterrupt:
            for identity in ids:
                client.cancel_trace(identity)
            raise
        traces = [client.trace(identity) for identity in ids]
    for number, trace in enumerate(traces, 1):
        if save:
            path = save / f"{number}-{_file_name(trace.start.label)}.trace.json.gz"
            save_trace(trace, path)
            console.print(escaped_line(f"Saved {path}"), markup=False, highlight=False)
    if as_json:
        print_json(traces)


def inspect(
    checkpoints: Checkpoints,
    prompt: PromptOption = None,
    response: Annotated[str | None, typer.Option(help="The response whose tokens to look at.")] = None,
    task: TaskOption = "sudoku",
    power: Annotated[float, typer.Option(help="Masking rate beta_i = H_i ** power.", min=0, max=4)] = 0.5,
    weighting: Annotated[Weighting, typer.Option(help="What a masked token weighs.")] = "inverse",
    as_json: AsJson = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Entropy of every response token under each checkpoint, and how often GIFT masks it, on average over t.

    `gift studio inspect tiny run_x7c1 --task word_problems`
    """
    from gift_core.inspection_tables import print_inspection

    with connect(server) as client:
        if prompt is None:
            prompt, standing = _example(client, task)
            response = standing if response is None else response
        if response is None:
            raise SpecError("A prompt of your own needs a response.", field="--response", remedy="Add --response TEXT.")
        found = client.inspect(checkpoints, prompt, response, power)
    if as_json:
        print_json(found)
    else:
        print_inspection(found, weighting)


def _example(client: CommandClient, task: str) -> tuple[str, str]:
    """Prompt and response of a held-out problem; raises `SpecError`."""
    examples = client.examples(1)
    for example in examples:
        if example.task == task:
            return example.prompt, example.response
    known = ", ".join(example.task for example in examples)
    raise SpecError(f"There is no task {task!r}.", field="--task", remedy=f"Choose one of: {known}.")


def _parts(client: CommandClient, identity: str) -> Iterator[TraceStart | Frame | TraceEnd]:
    """What a trace is made of, as it comes; raises `StudioError` with the reason where it failed."""
    from ui.connection import StudioError

    for event in resumed(lambda after: client.trace_events([identity], after)):
        if event.data.problems:
            raise StudioError(event.data.problems, 422)
        if event.data.part is not None:
            yield event.data.part
        if event.event == "ended":
            return


def _file_name(label: str) -> str:
    """A label as a part of a file's name: it may come from somebody else, and names no other folder."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in label)[:80]
