"""URLs of the services that a studio may use: what each may be, and how it is shown without its secrets."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from gift_core.errors import GiftError

STORE_SCHEMES = ("sqlite", "postgresql")
QUEUE_SCHEMES = ("sqlite", "redis", "rediss", "postgresql")
ARTEFACTS_SCHEMES = ("file", "s3")
# Where nothing stands in for a path that is left out; a server has a default database.
_PATHS = ("sqlite", "file", "s3")


class LocationError(GiftError):
    """A URL of a service is malformed, or of a kind that the studio does not know."""

    code = "location"


def checked_url(url: str, schemes: Collection[str], field: str) -> str:
    """`url`, if it has one of `schemes`. Raises `LocationError`, which shows nothing that may be a password."""
    remedy = f"Begin it with {', '.join(f'{scheme}://' for scheme in schemes)}, or leave it out for the default."
    scheme, found, _ = url.partition("://")
    if not found or not _well_formed(url):
        raise LocationError("This is not a URL.", field=field, remedy=remedy)
    if scheme not in schemes:
        raise LocationError(f"The scheme {scheme!r} is not known.", field=field, remedy=remedy)
    if scheme in _PATHS and not without_secrets(url).partition("://")[2].strip("/"):
        raise LocationError("This URL names no place.", field=field, remedy="Add the path or the bucket.")
    return url


def _well_formed(url: str) -> bool:
    try:
        without_secrets(url)
    except ValueError:
        return False
    return True


def without_secrets(url: str) -> str:
    """For messages: scheme, host, port and path, but neither user nor password nor options."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"
