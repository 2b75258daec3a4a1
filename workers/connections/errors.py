"""What an error of the database means for those who asked: each has a status, and says what to do."""

from __future__ import annotations

import logging
import sqlite3

from sqlalchemy import URL
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gift_core.errors import GiftError
from workers.locations import ServiceUnavailable, without_secrets
from workers.settings import DATA_DIR, STORE_URL

logger = logging.getLogger(__name__)

DRIVER_ERRORS = (DBAPIError, PoolTimeout, sqlite3.Error, UnicodeEncodeError)
_TRY_AGAIN = "Try again in a few seconds."


class StoreUnavailable(ServiceUnavailable):
    """The database does not answer. What was committed is kept; a transaction under way may or may not have been."""

    code = "store_unavailable"


class StoreBusy(StoreUnavailable):
    """Others were writing for as long as this could wait. Nothing was changed."""


class StoreFull(StoreUnavailable):
    """The database's disk has no room left. Nothing was changed."""

    code = "disk_full"


class ValueRefused(GiftError):  # noqa: N818
    """The database cannot hold a text or a number of the request."""

    code = "request"


def meaning_of(error: Exception, url: URL, field: str) -> GiftError | None:
    """Return the error to raise instead of one of `DRIVER_ERRORS`; None for one that only a fault of ours causes.

    `field`: the setting that says where the database is.
    """
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, IntegrityError | sqlite3.IntegrityError):
        return None
    if isinstance(error, PoolTimeout):
        return StoreBusy("Too many requests use the store at once.", remedy=_TRY_AGAIN)
    if isinstance(error, DataError | UnicodeEncodeError):
        return ValueRefused("The store cannot keep one of the texts or numbers.", remedy="Check them for odd signs.")
    if url.get_backend_name() == "sqlite":
        return _of_sqlite(original, url, field)
    if type(original).__name__ in ("LockNotAvailable", "DeadlockDetected"):
        return StoreBusy("Others are writing to the store.", field=field, remedy=_TRY_AGAIN)
    if type(original).__name__ == "DiskFull":
        return StoreFull("The disk of the store is full.", field=field, remedy="Make room there, then try again.")
    logger.warning("the store failed: %s", type(original).__name__)
    return StoreUnavailable(
        f"The store at {without_secrets(url.render_as_string())} does not answer ({type(original).__name__}).",
        field=field,
        remedy="Start its server, make room on its disk, or correct the URL; then try again.",
    )


def field_of(url: str | URL) -> str:
    """The setting that says where the store is: a whole URL, or the folder that a file lies in."""
    return STORE_URL if isinstance(url, str) else DATA_DIR


def _of_sqlite(original: object, url: URL, field: str) -> GiftError:
    code = getattr(original, "sqlite_errorcode", 0) & 0xFF
    # What SQLite says holds nothing of the rows.
    message = f"The store at {without_secrets(url.render_as_string())} cannot be used: {original}."
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusy("Others are writing to the store.", field=field, remedy=_TRY_AGAIN)
    if code == sqlite3.SQLITE_FULL:
        return StoreFull(message, field=field, remedy="Make room on its disk, then try again.")
    return StoreUnavailable(
        message,
        field=field,
        remedy="Make room on its disk, and check who may write to it; then try again.",
    )
