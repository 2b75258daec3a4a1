"""What proxies write into the requests that they pass on, and what it says about where a request comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator

from starlette.datastructures import Headers

from gift_core.config.addresses import host_of, is_loopback
from gift_core.config.headers import CLIENT_HEADERS, FORWARDED, HOST_HEADERS, PROXY_MARKS

_ELEMENT = re.compile(r'\b(for|host)=("[^"]*"|[^;,\s]*)', re.IGNORECASE)
_LONGEST_SHOWN = 200


def foreign_sign(headers: Headers) -> str:
    """What says that a request is not from, or not for, this machine; "" if nothing does."""
    # The front end says in X-Forwarded-Host how its own page was addressed.
    for host in (headers.get("host", ""), *(each for name in HOST_HEADERS for each in _listed(headers, name))):
        if not is_loopback(host_of(host)):
            return f"is addressed to {shown(host) or 'no host'}"
    for name in CLIENT_HEADERS:
        for client in _listed(headers, name):
            if not is_loopback(host_of(client)):
                return f"comes from {shown(client)}, as {name} says"
    for element in _listed(headers, FORWARDED):
        named = {key.lower(): value.strip('"') for key, value in _ELEMENT.findall(element)}
        # Without the client's address it still shows that there is a proxy.
        for value in (named.get("for", ""), named.get("host", "localhost")):
            if not is_loopback(host_of(value)):
                return f"comes from {shown(value) or 'an unnamed client'}, as Forwarded says"
    mark = next(filter(_is_mark, headers), None)
    return f"comes through a proxy, as {mark} says" if mark is not None else ""


def _is_mark(name: str) -> bool:
    return name in PROXY_MARKS or (name.startswith("x-forwarded-") and name not in CLIENT_HEADERS + HOST_HEADERS)


def shown(text: str) -> str:
    """A header's value, as far as it can be shown."""
    return "".join(character for character in text if character.isprintable())[:_LONGEST_SHOWN]


def _listed(headers: Headers, name: str) -> Iterator[str]:
    for line in headers.getlist(name):
        yield from (part.strip() for part in line.split(","))
