"""A container's health: `python -m workers.startup.answering` ends with 0 if the studio of these settings answers."""

from __future__ import annotations

import sys
from urllib.request import ProxyHandler, build_opener

from workers.settings import read_settings
from workers.startup.listening import own_url

_SECONDS = 5


def answers(url: str) -> bool:
    """Whether a studio at this address of its own machine says that it lives; a proxy is never asked."""
    try:
        with build_opener(ProxyHandler({})).open(f"{url}/healthz", timeout=_SECONDS) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(not answers(own_url(read_settings())))
