"""Where webhooks may go: the internet by https, or this machine; never into the network that the studio stands in."""

from __future__ import annotations

import hashlib
import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

Resolve = Callable[[str, int], Sequence[str]]
_PORTS = {"https": 443, "http": 80}


class AddressError(ValueError):
    """A webhook may not go there. The message holds nothing of the URL, which may be a secret in itself."""


@dataclass(frozen=True)
class Target:
    """A webhook's URL, checked. `key` stands for it wherever something is stored or logged."""

    url: str
    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Target:
        """Raises `AddressError`: it must be https, or http to this machine, and hold neither user nor password."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise AddressError("it is not a URL") from None
        if parts.scheme not in _PORTS or not host or any(c.isspace() or not c.isprintable() for c in url):
            raise AddressError("it must be an https:// URL")
        if parts.username is not None or parts.password is not None:
            raise AddressError("it must not hold a user or a password")
        target = cls(url, parts.scheme, host, _PORTS[parts.scheme] if port is None else port)
        if parts.scheme == "http" and not target.is_local:
            raise AddressError("http:// is for this machine only; use https://")
        return target

    @property
    def key(self) -> str:
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]

    @property
    def is_local(self) -> bool:
        """Whether the URL itself names this machine."""
        if self.host == "localhost":
            return True
        address = _address(self.host)
        return address is not None and address.is_loopback

    def addresses(self, resolve: Resolve | None = None) -> list[str]:
        """What it resolves to now, to connect to and nothing else. Raises `AddressError`, or `OSError` where it cannot
        be resolved.

        One that names this machine must stay on it, any other must be of the internet: whoever runs the name's domain
        could otherwise let it point at a service in here.
        """
        found = (resolve or _resolve)(self.host, self.port)
        for each in found:
            address = _address(each)
            allowed = address is not None and (address.is_loopback if self.is_local else _is_public(address))
            if not allowed:
                raise AddressError("its name leads into a private network")
        return list(found)


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        # The same IPv4 addresses in other clothes: mapped, 6to4, Teredo, and the translation prefix of RFC 6052.
        embedded = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if embedded is None and address in _TRANSLATED:
            embedded = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if embedded is not None:
            address = embedded
    return address.is_global and not address.is_multicast


_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
