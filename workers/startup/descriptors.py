"""File descriptors: how many this process may have."""

from __future__ import annotations

import resource

# More than a studio needs. What a process starts inherits the limit, and some programs go through all of it.
_MOST = 65_536


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
