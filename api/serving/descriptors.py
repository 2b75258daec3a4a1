"""File descriptors: how many of those that this process may have connections may take."""

from __future__ import annotations

import resource

# Of the descriptors. A request may take two more: a page asks the backend over a connection of its own, which has two
# ends in this process. The rest is for the worker, the store and files.
_SHARE_OF_CONNECTIONS = 0.5


def most_connections(wanted: int) -> int:
    """Return how many connections there may be: `wanted`, or half of the descriptors if that is less."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, int(soft * _SHARE_OF_CONNECTIONS)))


def most_streams(wanted: int, connections: int) -> int:
    """Return how many streams there may be: `wanted`, or a quarter of the connections if that is less."""
    return max(1, min(wanted, most_connections(connections) // 4))
