"""`python app.py keys …`: API keys, made and revoked on the studio's own machine, in its data folder."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from gift_core.escaping import escaped_line
from workers.access import session_commands
from workers.access.command_store import opened, record
from workers.account_records import ApiKey, Role, Scope
from workers.accounts import AccountStore, named_account

_DAY = 86_400

commands = typer.Typer(help="API keys of this studio's data folder.", no_args_is_help=True)
commands.add_typer(session_commands.commands, name="sessions")


@commands.command()
def create(
    name: Annotated[str, typer.Option(help="What the key is for; also the account's name where none is given.")],
    scope: Annotated[list[Scope] | None, typer.Option(help="What it may be used for; may be repeated.")] = None,
    account: Annotated[str | None, typer.Option(help="Whose it is; made where there is no such account.")] = None,
    role: Annotated[Role | None, typer.Option(help="Of an account that is made for it: owner when left out.")] = None,
    days: Annotated[float | None, typer.Option(min=0.01, help="Days until it ends; never when left out.")] = None,
) -> None:
    """Make a key and show it, once."""
    with opened() as (accounts, audit):
        owner = named_account(accounts, account or name, role)
        expires = time.time() + days * _DAY if days else None
        key, made = accounts.create_key(owner.id, name, scope or [Scope.READ], expires)
        record(audit, "make_keys", f"key {key.prefix} of {owner.id}")
    typer.echo(made.text)
    typer.echo(escaped_line(f"Key {key.prefix} of {owner.name} ({owner.role}). It is not shown again."), err=True)


@commands.command("list")
def list_keys() -> None:
    """Show all keys, without their secrets."""
    with opened() as (accounts, _):
        names = {account.id: f"{account.name} ({account.role})" for account in accounts.accounts()}
        for key in accounts.api_keys():
            parts = [key.prefix, key.name, names[key.account_id], ",".join(key.scopes), _state(key, accounts)]
            typer.echo("\t".join(map(escaped_line, parts)))


@commands.command()
def revoke(prefix: Annotated[str, typer.Argument(help="The key's prefix, as `list` shows it.")]) -> None:
    """End a key at once, and every browser session that was begun with it."""
    with opened() as (accounts, audit):
        key = accounts.revoke(prefix)
        record(audit, "revoke_keys", f"key {prefix} of {key.account_id}")
    typer.echo(f"Key {prefix} is revoked.")


def _state(key: ApiKey, accounts: AccountStore) -> str:
    if key.revoked is not None:
        return "revoked"
    if not accounts.has_its_secret(key):
        return "made under another GIFT_SECRET"
    if key.expires is None:
        return "valid"
    until = f"{datetime.fromtimestamp(key.expires, UTC):%Y-%m-%d %H:%M} UTC"
    return f"ended {until}" if key.expires < time.time() else f"until {until}"
