"""What several commands share: their common options, opening a checkpoint, and where a prompt comes from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape

from gift_core.data_spec import TaskSource
from gift_core.errors import SpecError
from gift_core.escaping import escaped_line
from gift_core.recovery import checkpoint_to_resume, step_of
from gift_core.section import read_typed
from gift_core.spec import RunSpec

if TYPE_CHECKING:
    from gift_core.models.loading import DiffusionModel

CHECKPOINTS_HELP = "Base models by name, Hub models as owner/name, or folders that `gift train` wrote."

console = Console(stderr=True)

Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the spec; may be repeated."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the document the browser draws.")]
Prompt = Annotated[
    str | None,
    typer.Option(help="The prompt; a held-out problem of --task when left out, `-` reads standard input."),
]
TaskOption = Annotated[str, typer.Option("--task", help="The built-in task that a prompt is taken from.")]


def open_model(name: str) -> DiffusionModel:
    """A checkpoint, or a base model fetched if need be, on whatever devices there are."""
    from gift_core.models.loading import EVERYWHERE, open_checkpoint

    fetch(name)
    return open_checkpoint(name, EVERYWHERE)


def fetch(name: str) -> None:
    """Download a Hub model that is not in the local cache, and say so first; leaves every other name alone."""
    from gift_core.models.hub import HubName, cached, download

    hub_name = HubName.parse(name)
    if hub_name is None or Path(name).exists() or cached(hub_name):
        return
    console.print(
        f"Downloading {escape(escaped_line(name))} from the Hub: weights, config and tokenizer.", highlight=False
    )
    download(hub_name)


def check_resumable(directory: Path, *, finished: bool, resume: bool) -> bool:
    """Whether a folder holds a run, finished or to be resumed; raises `SpecError` if it does and may not be used."""
    checkpoint = None if finished else checkpoint_to_resume(directory)
    if (finished or checkpoint) and not resume:
        held = f"a run that stopped after step {step_of(checkpoint)}" if checkpoint else "a finished run"
        raise SpecError(
            f"{directory} already holds {held}.",
            field="--output",
            remedy=f"{'Add --resume to go on with it, or choose' if checkpoint else 'Choose'} another folder.",
        )
    return finished or checkpoint is not None


def say_finished(directory: Path) -> None:
    """Print that there is nothing to do, once where several processes are started."""
    from gift_core.progress import is_first_process

    if is_first_process():
        console.print(
            f"{directory} is finished: nothing to do. Choose another folder to train it again.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def parse_changes(changes: list[str], section: type[BaseModel] = RunSpec) -> dict[str, Any]:
    """What `--set` was given, as dotted fields of `section` and values for them; raises `SpecError`."""
    parsed = {}
    for change in changes:
        field, separator, value = change.partition("=")
        if not separator:
            raise SpecError(f"{change!r} is not FIELD=VALUE.", field="--set", remedy="Write --set training.epochs=3.")
        parsed[field] = read_typed(section, field, value)
    return parsed


def prompt_and_response(prompt: str | None, response: str | None, task: str) -> tuple[str, str]:
    """A prompt of the user's own with its response, or a held-out problem of `task`; raises `SpecError`."""
    if prompt is None:
        from gift_core.data.sources import task_problems

        problem = task_problems(TaskSource.parse({"task": task, "examples": 1}), 1)[1][0]
        return problem.prompt, response if response is not None else problem.response
    if response is None:
        raise SpecError("A prompt of your own needs a response.", field="--response", remedy="Add --response TEXT.")
    return (sys.stdin.read() if prompt == "-" else prompt), response
