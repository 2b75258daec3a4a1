"""File descriptors: how many this process may have, and how many of them connections may take."""

from __future__ import annotations

import logging
import resource

logger = logging.getLogger(__name__)

# More than a studio needs. What a process starts inherits the limit, and some programs go through all of it.
_MOST = 65_536
# Of the descriptors. A request may take two more: a page asks the backend over a connection of its own, which has two
# ends in this process. The rest is for the worker, the store and files.
_SHARE_OF_CONNECTIONS = 0.5


def raise_limit() -> int:
    """Raise the number of descriptors that this process may have as far as it may by itself, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return _MOST if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):
        # macOS allows fewer than it says.
        return soft
    return most


def most_connections(wanted: int) -> int:
    """Return how many connections there may be: `wanted`, or half of the descriptors if that is less."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, int(soft * _SHARE_OF_CONNECTIONS)))


def most_streams(wanted: int, connections: int) -> int:
    """Return how many streams there may be: `wanted`, or a quarter of the connections if that is less."""
    return max(1, min(wanted, most_connections(connections) // 4))
