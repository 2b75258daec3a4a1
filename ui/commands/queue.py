"""The queue: what runs, what waits, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gift_core.errors import SpecError
from ui.commands.connection import DEFAULT_SERVER, AsJson, Server, connect
from ui.commands.output import print_json, print_table, say
from ui.commands.watching import JOB_COLUMNS

if TYPE_CHECKING:
    from api.job_views import QueueView

app = typer.Typer(help="What runs, what waits, and in which order.", no_args_is_help=True, rich_markup_mode="markdown")


@app.command("list")
def list_queue(as_json: AsJson = False, server: Server = DEFAULT_SERVER) -> None:
    """Show what runs, and what waits in the order in which it is taken."""
    with connect(server) as client:
        found = client.queue()
    _show(found, as_json)


@app.command()
def pause(as_json: AsJson = False, server: Server = DEFAULT_SERVER) -> None:
    """Let no other job begin; those that run go on."""
    with connect(server) as client:
        found = client.pause_queue()
    _show(found, as_json)


@app.command("go-on")
def go_on(as_json: AsJson = False, server: Server = DEFAULT_SERVER) -> None:
    """Let jobs begin again."""
    with connect(server) as client:
        found = client.resume_queue()
    _show(found, as_json)


@app.command()
def move(
    job: Annotated[str, typer.Argument(help="A job that waits.")],
    before: Annotated[str | None, typer.Option(help="Put it before this one, which waits too.")] = None,
    first: Annotated[bool, typer.Option("--first", help="Put it before all whose places you may change.")] = False,
    last: Annotated[bool, typer.Option("--last", help="Put it behind all that wait, whatever their priority.")] = False,
    priority: Annotated[
        int | None, typer.Option(help="Of those that wait, the highest is next; 0 unless set.", min=-100, max=100)
    ] = None,
    as_json: AsJson = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Move a job that waits: `gift studio queue move run_x7c1 --first`."""
    if [before is not None, first, last, priority is not None].count(True) != 1:
        raise SpecError(
            "Where to is not clear.", field="move", remedy="Give one of --before, --first, --last and --priority."
        )
    with connect(server) as client:
        client.change_job(job, priority=priority, before=before, first=first, last=last)
        found = client.queue()
    _show(found, as_json)


def _show(found: QueueView, as_json: bool) -> None:
    if as_json:
        return print_json(found)
    if found.paused:
        say("The queue is paused: `gift studio queue go-on` lets jobs begin again.")
    return print_table([*found.running, *found.waiting], JOB_COLUMNS, "Nothing runs and nothing waits.")
