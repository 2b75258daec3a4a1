"""New jobs made from others: the same again with changes, and runs that go on for longer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from gift_core.cli_common import Changes, parse_changes
from ui.commands.connection import DEFAULT_SERVER, AsJson, Server, connect, persistently
from ui.commands.jobs import JobId
from ui.commands.output import print_json, print_table, say
from ui.commands.watching import JOB_COLUMNS

if TYPE_CHECKING:
    from api.job_views import JobView
    from ui.commands.client import CommandClient


def clone(
    identity: JobId,
    changes: Changes = None,
    name: Annotated[str, typer.Option(help="What lists show: of the experiment that a run is cloned into.")] = "",
    as_json: AsJson = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Ask for the same again, with changes: a run in an experiment of its own, any other job as a job.

    `gift studio clone run_x7c1 --set training.learning_rate=1e-4 --name "Slower"`

    An upload is cloned with the token of `HF_TOKEN`. A connection that is lost meanwhile is tried
    again, and clones nothing twice.
    """
    from gift_core.credentials import hub_token

    changed = parse_changes(changes or [])

    def ask(client: CommandClient, key: str) -> JobView:
        token = hub_token() if client.job(identity).kind == "push" else None
        return client.clone_job(identity, changed, name, token=token, key=key)

    _made(server, as_json, ask)


def continue_(
    identity: Annotated[str, typer.Argument(metavar="RUN", help="A run that has left weights.")],
    epochs: Annotated[int, typer.Option(help="So many more.", min=1, max=1000)],
    as_json: AsJson = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Train a run's weights for more epochs, as a new run of its experiment: `gift studio continue run_x7c1 --epochs 5`

    The weights or the adapter go on, the optimiser and the learning rate begin anew, and the next seed is taken.
    """
    _made(server, as_json, lambda client, key: client.continue_job(identity, epochs, key=key))


def _made(server: str, as_json: bool, ask: Callable[[CommandClient, str], JobView]) -> None:
    """Ask for a new job under a key of its own, and show it."""
    from uuid import uuid4

    key = uuid4().hex
    with connect(server, interrupted="Interrupted. `gift studio jobs` says whether it was asked for.") as client:
        job = persistently(lambda: ask(client, key))
    if as_json:
        print_json(job)
    else:
        print_table([job], JOB_COLUMNS, "")
        say(f"gift studio watch {job.id} shows how it goes.")
