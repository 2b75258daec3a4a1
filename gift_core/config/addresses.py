"""Addresses as people write them: of a web server, and of the interface to listen on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
# A host name as DNS and /etc/hosts have it; containers are often named with an underscore.
_NAME = re.compile(r"(?=.{1,253}\.?$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*\.?", re.IGNORECASE)
# What `urlsplit` takes apart, and joins again to the same.
_WHOLE = re.compile(r"(\[[^\[\]]*\]|[^\[\]]*)(:\d*)?")
_MOST_PORT = 65_535
# A household or a machine with IPv6 has a network of this size.
_IPV6_PREFIX = 64


class AddressError(ValueError):
    """An address cannot be used. The message never repeats the address, which may hold a password."""


@dataclass(frozen=True)
class HttpAddress:
    """Where a web server answers. `host` is in lower case and without brackets, `path` has no slash at its end."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> HttpAddress:
        """Read `http://host`, with a port, a path and a slash at the end if need be. Raises `AddressError`."""
        text = text.strip()
        if any(character.isspace() or not character.isprintable() for character in text):
            raise AddressError("An address has no spaces in it.")
        scheme, separator, rest = text.partition("://")
        scheme = scheme.lower()
        if not separator or scheme not in _DEFAULT_PORTS:
            raise AddressError("An address begins with http:// or https://.")
        try:
            parts = urlsplit(f"{scheme}://{rest}")
            given, port = parts.hostname or "", parts.port
            if not _WHOLE.fullmatch(parts.netloc.rpartition("@")[2]):
                raise ValueError("something stands between the brackets and the port")
        except ValueError:
            raise AddressError("The host or the port of this address is not valid.") from None
        if "@" in parts.netloc:
            raise AddressError("An address must not hold a user or a password.")
        if "?" in rest or "#" in rest:
            raise AddressError("An address ends before ? and #.")
        if port == 0:
            raise AddressError(f"A port is a number from 1 to {_MOST_PORT:,}.")
        return cls(scheme, parse_host(given), port or _DEFAULT_PORTS[scheme], parts.path.rstrip("/"))

    @property
    def authority(self) -> str:
        """Host and port as `Host` and `Origin` have them: without the port that the scheme implies."""
        host = in_url(self.host)
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def parse_host(text: str) -> str:
    """A host name or an IP address: in lower case, an IPv6 address without its brackets. Raises `AddressError`."""
    text = text.strip()
    if "://" in text:
        raise AddressError("A host is written without http:// and without a port.")
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ip_address(bare)).lower()
    except ValueError:
        pass
    if text.count(":") == 1 or (text.startswith("[") and "]:" in text):
        raise AddressError("A host is written without its port.")
    if bare != text or not _NAME.fullmatch(text):
        raise AddressError("This is not a host name or an IP address.")
    return text.lower()


def in_url(host: str) -> str:
    """The host as URLs have it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Whether a host name or an address is this machine's own and no other machine's."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def canonical_ip(text: str) -> str | None:
    """An IP address in the one form that is compared and stored; None for anything else."""
    try:
        # The zone of an IPv6 address may be any text.
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def network_of(address: str) -> str:
    """What an address is counted under: an IPv6 address under its network, since a client has all addresses in it."""
    try:
        network = ip_network((address, _IPV6_PREFIX), strict=False) if ":" in address else None
    except ValueError:
        return address
    return str(network or address)


def host_of(text: str) -> str:
    """The host of `host`, `host:port`, `[address]:port` or an IPv6 address; "" for what cannot be read."""
    if text.count(":") > 1 and not text.startswith("["):
        return text
    try:
        return urlsplit(f"//{text}").hostname or ""
    except ValueError:
        return ""


def is_authority(text: str) -> bool:
    """Whether this is a host, with a port if need be, as `Host` has it."""
    try:
        return "/" not in text and HttpAddress.parse(f"http://{text}").path == ""
    except AddressError:
        return False


def same_authority(first: str, second: str, scheme: str) -> bool:
    """Whether two values of `host:port` name the same server, where `scheme` implies the port that is left out."""
    return _authority(first, scheme) == _authority(second, scheme) is not None


def _authority(text: str, scheme: str) -> tuple[str, int | None] | None:
    try:
        parts = urlsplit(f"//{text}")
        return (
            ((parts.hostname or "").rstrip("."), parts.port or _DEFAULT_PORTS.get(scheme)) if parts.hostname else None
        )
    except ValueError:
        return None
