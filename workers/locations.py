"""URLs of the services that a studio may use: what each may be, and how it is shown without its secrets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from fsspec import available_protocols

from gift_core.errors import GiftError

_STORE = ("sqlite", "postgresql")
_QUEUE = ("sqlite", "redis", "rediss", "postgresql")
# What this is tested with; fsspec knows more, some with a package of their own.
_ARTEFACTS = ("s3", "file")
# Nothing stands in for a path that is left out; a server has a default database.
_NEED_A_PATH = ("sqlite", *_ARTEFACTS)


class LocationError(GiftError):
    """A URL of a service is malformed, or of a kind that the studio does not know."""

    code = "location"


class ServiceUnavailable(GiftError):  # noqa: N818
    """A server that the studio needs does not answer now; what it holds is still there."""

    code = "service_unavailable"
    headers: Mapping[str, str] = {"Retry-After": "5"}


def check_store_url(url: str) -> str:
    """`url`, if it can be a database's. Raises `LocationError`, which shows nothing that may be a password."""
    return _checked(url, "GIFT_STORE_URL", _STORE)


def check_queue_url(url: str) -> str:
    """`url`, if it can be a queue's. Raises `LocationError`, which shows nothing that may be a password."""
    return _checked(url, "GIFT_QUEUE_URL", _QUEUE)


def check_artefacts_url(url: str) -> str:
    """`url`, if fsspec may know it. Raises `LocationError`, which shows nothing that may be a password."""
    return _checked(url, "GIFT_ARTEFACTS_URL", _ARTEFACTS, available_protocols())


def without_secrets(url: str) -> str:
    """For messages: scheme, host, port and path, but neither user nor password nor options."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _checked(url: str, field: str, named: Collection[str], others: Collection[str] = ()) -> str:
    remedy = f"Begin it with {' or '.join(f'{scheme}://' for scheme in named)}, or leave it out for the default."
    scheme, found, _ = url.partition("://")
    if not found or not _well_formed(url):
        raise LocationError("This is not a URL.", field=field, remedy=remedy)
    if scheme not in {*named, *others}:
        raise LocationError("The scheme of this URL is not known.", field=field, remedy=remedy)
    if scheme in _NEED_A_PATH and not without_secrets(url).partition("://")[2].strip("/"):
        raise LocationError("This URL names no place.", field=field, remedy="Add the path or the bucket.")
    if scheme == "sqlite" and ("?" in url or "#" in url):
        raise LocationError("A sqlite:// URL has no options.", field=field, remedy="End it with the file's name.")
    return url


def _well_formed(url: str) -> bool:
    try:
        without_secrets(url)
    except ValueError:
        return False
    return True
