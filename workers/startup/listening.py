"""The address that the studio listens on: whether it can, and how the studio is reached there."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from contextlib import closing
from ipaddress import ip_address

from gift_core.config.addresses import in_url
from workers.settings import ConfigurationError, Settings

# Listening on all addresses means that this machine reaches the studio on its own.
_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
_HOST, _PORT = "GIFT_HOST", "GIFT_PORT"


def own_url(settings: Settings) -> str:
    """Where this machine reaches the studio."""
    return f"http://{in_url(_LOOPBACK_OF.get(settings.host, settings.host))}:{settings.port}"


def trusted_forwarders(settings: Settings) -> list[str]:
    """Addresses whose `X-Forwarded-For` is believed; any other client could evade the rate limits with it.

    The front end speaks to the backend for its visitors, from the address that the studio listens on.
    """
    own = {
        "127.0.0.1",
        "::1",
        *(address for _, address in _resolved(settings) if not ip_address(address).is_unspecified),
    }
    return [*sorted(own), *map(str, settings.trusted_proxies)]


def check_listening(settings: Settings) -> None:
    """Raise `ConfigurationError` if the studio cannot listen where it should, for example because the port is taken.

    Asked first: making a studio takes seconds, and takes up the jobs of its folder.
    """
    try:
        found = _resolve(settings)
    except OSError:
        raise ConfigurationError(
            "This machine cannot find this host.",
            field=_HOST,
            remedy="Check its spelling, or write 127.0.0.1 to serve this machine alone.",
        ) from None
    for family, address in found:
        try:
            _listen(family, address, settings.port)
        except OSError as error:
            raise _refused(error, address, settings.port) from None


def _listen(family: socket.AddressFamily, address: str, port: int) -> None:
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        # As the server does it: connections of one that has just ended are in nobody's way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind((address, port))


def _refused(error: OSError, address: str, port: int) -> ConfigurationError:
    message = f"It cannot listen on {in_url(address)}, port {port}: {error.strerror}."
    if error.errno == errno.EADDRINUSE:
        remedy = "Stop what listens there, which may be another studio, or take another port: make run PORT=7861"
        return ConfigurationError(message, field=_PORT, remedy=remedy)
    if error.errno in (errno.EACCES, errno.EPERM):
        return ConfigurationError(message, field=_PORT, remedy="Take a port above 1023: the others are the system's.")
    remedy = "Name an address of this machine, or 127.0.0.1 to serve this machine alone."
    return ConfigurationError(message, field=_HOST, remedy=remedy)


def _resolved(settings: Settings) -> Sequence[tuple[socket.AddressFamily, str]]:
    try:
        return _resolve(settings)
    except OSError:
        return ()


def _resolve(settings: Settings) -> Sequence[tuple[socket.AddressFamily, str]]:
    """All addresses that a server would listen on. Raises `OSError`."""
    found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))
