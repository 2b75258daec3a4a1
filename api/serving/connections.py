"""The connections of a server: how many there may be, in all and from one address, and which one goes for another."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Protocol

logger = logging.getLogger(__name__)

# A household or a machine with IPv6 has a network of this size, and each address in it.
_IPV6_PREFIX = 64


class Droppable(Protocol):
    """A connection, as far as it is counted."""

    def drop(self) -> None:
        """Close it at once."""


@dataclass
class _Group:
    """Connections that are counted together. Those that wait for a request are in the order in which they began to."""

    most: int
    count: int = 0
    waiting: dict[Droppable, None] = field(default_factory=dict)


class Connections:
    """At most `most` connections, and `most_of_address` from each address. Call it in the event loop's thread only.

    Without room for another, the connection that has waited longest for a request is closed; if none waits, the new one
    is refused. So idle connections keep no visitor out, not even one of the same address.
    """

    def __init__(self, most: int, most_of_address: int, exempt: Collection[str] = ()) -> None:
        """`exempt`: addresses and networks of proxies, whose connections belong to many visitors."""
        self._all = _Group(most)
        self._most_of_address = most_of_address
        self._exempt = [ip_network(each, strict=False) for each in exempt]
        self._by_address: dict[str, _Group] = {}
        self._addresses: dict[Droppable, str | None] = {}
        self._is_full = False

    def __len__(self) -> int:
        return self._all.count

    def admit(self, connection: Droppable, host: str | None) -> bool:
        """Count a new connection, which waits for a request; False if there is no room for it."""
        address = self._counted_as(host)
        own = self._by_address.get(address) if address else None
        if own is not None and own.count >= own.most and not self._drop_oldest(own):
            return False
        if self._all.count >= self._all.most:
            self._note_full()
            if not self._drop_oldest(self._all):
                return False
        self._addresses[connection] = address
        for group in self._groups(address):
            group.count += 1
            group.waiting[connection] = None
        return True

    def waits(self, connection: Droppable) -> None:
        """Note that a connection waits for its client's next request."""
        if connection in self._addresses:
            for group in self._groups(self._addresses[connection]):
                group.waiting.setdefault(connection)

    def works(self, connection: Droppable) -> None:
        """Note that a connection has a request to answer."""
        if connection in self._addresses:
            for group in self._groups(self._addresses[connection]):
                group.waiting.pop(connection, None)

    def remove(self, connection: Droppable) -> None:
        """Forget a connection; nothing happens to one that is not counted."""
        if connection not in self._addresses:
            return
        address = self._addresses.pop(connection)
        for group in self._groups(address):
            group.count -= 1
            group.waiting.pop(connection, None)
        if address and not self._by_address[address].count:
            del self._by_address[address]
        if self._all.count < self._all.most // 2:
            self._is_full = False

    def _drop_oldest(self, group: _Group) -> bool:
        oldest = next(iter(group.waiting), None)
        if oldest is None:
            return False
        self.remove(oldest)
        oldest.drop()
        return True

    def _groups(self, address: str | None) -> list[_Group]:
        if not address:
            return [self._all]
        return [self._all, self._by_address.setdefault(address, _Group(self._most_of_address))]

    def _counted_as(self, host: str | None) -> str | None:
        """What a client's connections are counted under; None if only in all."""
        try:
            address = ip_address(host or "")
        except ValueError:
            return None
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if address.is_loopback or self._is_exempt(address):
            return None
        return str(ip_network((address, _IPV6_PREFIX), strict=False)) if address.version == 6 else str(address)

    def _is_exempt(self, address: IPv4Address | IPv6Address) -> bool:
        networks: list[IPv4Network | IPv6Network] = self._exempt
        return any(address in network for network in networks)

    def _note_full(self) -> None:
        """Say it once for each time that the server fills up."""
        if not self._is_full:
            self._is_full = True
            logger.warning(
                "There are %d connections, the most that there may be (GIFT_CONNECTIONS, or half of `ulimit -n`): "
                "those that wait longest for a request are closed.",
                self._all.most,
            )
