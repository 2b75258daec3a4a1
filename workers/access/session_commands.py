"""`python app.py keys sessions …`: who is signed in with a browser, and the way to end it, on the studio's machine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from gift_core.escaping import escaped_line
from workers.access.command_store import opened, record

commands = typer.Typer(help="Browser sessions of this studio's data folder.", invoke_without_command=True)


@commands.callback()
def list_sessions(context: typer.Context) -> None:
    """Show the sessions that have not ended, also those that only another GIFT_SECRET would make valid."""
    if context.invoked_subcommand is not None:
        return
    with opened() as (accounts, _):
        names = {account.id: f"{account.name} ({account.role})" for account in accounts.accounts()}
        for session in accounts.sessions.all(of_any_secret=True):
            means = f"key {session.key_prefix}" if session.key_prefix else session.means
            times = (_when(session.created), _when(session.last_used))
            parts = [session.id, names[session.account_id], means, *times, session.address, session.browser]
            typer.echo("\t".join(map(escaped_line, parts)))


@commands.command()
def end(
    session_id: Annotated[str | None, typer.Argument(metavar="ID", help="The session's id, as listed.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="End all sessions, of every account.")] = False,
) -> None:
    """End a session at once: its browser has to sign in again. Keys that were made in it stay; see `keys list`."""
    if everything == (session_id is not None):
        raise typer.BadParameter("Name one session, or --all.")
    with opened() as (accounts, audit):
        if session_id is None:
            ended = accounts.sessions.end_all()
            record(audit, "end_sessions", "all sessions")
            typer.echo(f"{len(ended)} session{'' if len(ended) == 1 else 's'} ended.")
        else:
            session = accounts.sessions.end(session_id)
            record(audit, "end_sessions", f"session {session.id} of {session.account_id}")
            typer.echo(f"Session {session.id} has ended.")


def _when(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"
