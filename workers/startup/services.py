"""Servers that the settings name: asked once before a studio starts, so that a mistake in a URL is said in words.

A Redis server that is only away is no mistake: the studio starts, says so in its log and at /readyz, and goes on when
it comes back. PostgreSQL has to be there. What a driver says is never passed on, since it may quote the URL.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from pydantic import SecretStr
from redis import ConnectionPool, Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from workers.locations import without_secrets
from workers.settings import ARTEFACTS_URL, QUEUE_URL, STORE_URL, ConfigurationError, Settings
from workers.startup.data_folder import check_folder

logger = logging.getLogger(__name__)

_SECONDS = 3
# What drivers and servers say, what it means, and what helps. None of it goes away by waiting.
_MISTAKES = (
    (
        ("password", "authenticat", "wrongpass", "noauth", "invalid username", "role .* does not exist", "pg_hba"),
        "does not accept this user and password",
        "Correct the user and the password in the URL.",
    ),
    (
        ("database .* does not exist", "db index is out of range", "invalid db index"),
        "has no database of this name",
        "Make it on the server, or name another in the URL.",
    ),
    (
        (r"invalid (uri|connection option|dsn|ssl|\w+ value)", "unexpected keyword"),
        "cannot be used with the options of the URL",
        "Correct what follows the question mark.",
    ),
)
_AWAY = (
    (("resolve", "name or service", "getaddrinfo", "translate host"), "cannot be found: its host is not known"),
    (("refused",), "does not answer: nothing listens at this address"),
    (("timed? ?out",), "does not answer in time"),
    (("ssl", "tls", "certificate"), "cannot be spoken to over TLS"),
)


def check_services(settings: Settings) -> None:
    """Raise `ConfigurationError` for a URL that names no usable place; warn of a queue's server that is away."""
    check_store_service(settings.store_url)
    if (queue := _value(settings.queue_url)) is not None:
        _check_queue(queue)
    if (artefacts := _value(settings.artefacts_url)) is not None and urlsplit(artefacts).scheme == "file":
        check_folder(Path(urlsplit(artefacts).path), ARTEFACTS_URL)


def check_store_service(url: SecretStr | None) -> None:
    """Raise `ConfigurationError` unless the store's server, if it has one, lets the studio in."""
    where = _value(url)
    if where is not None and urlsplit(where).scheme == "postgresql":
        _check_postgres(where, "store", STORE_URL)


def _check_queue(url: str) -> None:
    scheme = urlsplit(url).scheme
    if scheme == "postgresql":
        _check_postgres(url, "queue", QUEUE_URL)
    elif scheme in ("redis", "rediss"):
        _check_redis(url)


def _check_postgres(url: str, what: str, field: str) -> None:
    try:
        psycopg.connect(url, connect_timeout=_SECONDS).close()
    except psycopg.Error as error:
        raise _refusal(what, url, field, str(error)) from None


def _check_redis(url: str) -> None:
    path = urlsplit(url).path.strip("/")
    if path and not path.isdecimal():
        raise ConfigurationError(
            "This URL names no database: Redis numbers them.", field=QUEUE_URL, remedy="End it with /0."
        )
    try:
        pool = ConnectionPool.from_url(
            url, socket_connect_timeout=_SECONDS, socket_timeout=_SECONDS, retry=Retry(NoBackoff(), 0)
        )
        with closing(Redis(connection_pool=pool)) as server:
            server.ping()
        pool.disconnect()
    except (RedisError, OSError, TypeError, ValueError) as error:
        found = _refusal("queue", url, QUEUE_URL, f"{type(error).__name__}: {error}")
        if _mistake(str(error)) is not None or isinstance(error, TypeError | ValueError):
            raise found from None
        logger.warning("%s", found)


def _refusal(what: str, url: str, field: str, said: str) -> ConfigurationError:
    shown = without_secrets(url)
    if (mistake := _mistake(said)) is not None:
        return ConfigurationError(f"The {what} at {shown} {mistake[0]}.", field=field, remedy=mistake[1])
    why = next((words for patterns, words in _AWAY if _says(said, patterns)), "does not answer")
    return ConfigurationError(
        f"The {what} at {shown} {why}.", field=field, remedy="Start its server, or correct the URL."
    )


def _mistake(said: str) -> tuple[str, str] | None:
    return next(((what, remedy) for patterns, what, remedy in _MISTAKES if _says(said, patterns)), None)


def _says(said: str, patterns: Collection[str]) -> bool:
    return any(re.search(pattern, said, re.IGNORECASE) for pattern in patterns)


def _value(url: SecretStr | None) -> str | None:
    return url.get_secret_value() if url else None
