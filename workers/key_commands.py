"""`python app.py keys …`: API keys, made and revoked on the studio's own machine, in its data folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer

from gift_core.errors import GiftError
from gift_core.escaping import escaped, escaped_line
from workers.account_records import ApiKey, Role, Scope
from workers.accounts import AccountStore, named_account
from workers.settings import read_settings

_DAY = 86_400

commands = typer.Typer(help="API keys of this studio's data folder.", no_args_is_help=True)


@commands.command()
def create(
    name: Annotated[str, typer.Option(help="What the key is for; also the account's name where none is given.")],
    scope: Annotated[list[Scope] | None, typer.Option(help="What it may be used for; may be repeated.")] = None,
    account: Annotated[str | None, typer.Option(help="Whose it is; made where there is no such account.")] = None,
    role: Annotated[Role | None, typer.Option(help="Of an account that is made for it: owner when left out.")] = None,
    days: Annotated[float | None, typer.Option(min=0.01, help="Days until it ends; never when left out.")] = None,
) -> None:
    """Make a key and show it, once."""
    with _accounts() as accounts:
        owner = named_account(accounts, account or name, role)
        expires = time.time() + days * _DAY if days else None
        key, made = accounts.create_key(owner.id, name, scope or [Scope.READ], expires)
    typer.echo(made.text)
    typer.echo(escaped_line(f"Key {key.prefix} of {owner.name} ({owner.role}). It is not shown again."), err=True)


@commands.command("list")
def list_keys() -> None:
    """Show all keys, without their secrets."""
    with _accounts() as accounts:
        names = {account.id: f"{account.name} ({account.role})" for account in accounts.accounts()}
        for key in accounts.api_keys():
            parts = [key.prefix, key.name, names[key.account_id], ",".join(key.scopes), _state(key)]
            typer.echo("\t".join(map(escaped_line, parts)))


@commands.command()
def revoke(prefix: Annotated[str, typer.Argument(help="The key's prefix, as `list` shows it.")]) -> None:
    """End a key at once, and every browser session that was begun with it."""
    with _accounts() as accounts:
        accounts.revoke(prefix)
    typer.echo(f"Key {prefix} is revoked.")


def _state(key: ApiKey) -> str:
    if key.revoked is not None:
        return "revoked"
    if key.expires is None:
        return "valid"
    until = f"{datetime.fromtimestamp(key.expires, UTC):%Y-%m-%d %H:%M} UTC"
    return f"ended {until}" if key.expires < time.time() else f"until {until}"


@contextmanager
def _accounts() -> Iterator[AccountStore]:
    # Imported here: `--help` needs no studio.
    from workers.studio import database_of

    try:
        database = database_of(read_settings())
    except GiftError as error:
        typer.echo(escaped(str(error)), err=True)
        raise typer.Exit(1) from None
    try:
        yield AccountStore(database)
    except GiftError as error:
        typer.echo(escaped(str(error)), err=True)
        raise typer.Exit(1) from None
    finally:
        database.close()
