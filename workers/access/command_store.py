"""What the commands about keys and sessions work on: the accounts of the data folder that the settings name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from gift_core.errors import GiftError
from gift_core.escaping import escaped
from workers.account_records import AuditEntry
from workers.accounts import LOCAL_ACCOUNT, AccountStore
from workers.audit import AuditLog
from workers.settings import read_settings


@contextmanager
def opened() -> Iterator[tuple[AccountStore, AuditLog]]:
    """Give the accounts and the audit log within the block; an error is shown in words, and ends the command."""
    # Imported here: `--help` needs no studio.
    from workers.startup.services import check_store_service
    from workers.studio import database_of

    try:
        settings = read_settings()
        check_store_service(settings.store_url)
        database = database_of(settings)
    except (GiftError, OSError) as error:
        typer.echo(escaped(str(error)), err=True)
        raise typer.Exit(1) from None
    try:
        yield AccountStore(database, settings.password), AuditLog(database)
    except GiftError as error:
        typer.echo(escaped(str(error)), err=True)
        raise typer.Exit(1) from None
    finally:
        database.close()


def record(audit: AuditLog, action: str, thing: str) -> None:
    """Write into the audit log what was done on the command line."""
    audit.add(AuditEntry(account_id=LOCAL_ACCOUNT, action=action, thing=thing, outcome="done", address="command line"))
