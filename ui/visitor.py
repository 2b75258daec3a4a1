"""Whose visit it is that the front end works for: what proves a visitor to the backend, passed on with every request.

The front end has no credential of its own, so nothing that goes through it can do more than its visitor may.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from gradio.context import LocalContext

from gift_core.config.addresses import canonical_ip
from gift_core.config.headers import (
    PROXY_HEADERS,
    SESSION_COOKIE,
    STATE_COOKIE,
    UNKNOWN,
    cookie_token,
    is_plain,
)

# The backend's own; cookies of other applications on this host are not its business.
_COOKIES = (SESSION_COOKIE, STATE_COOKIE)
# What the front end says itself.
_OWN = ("x-forwarded-for", "x-forwarded-host")
_OF_PROXIES = tuple(name for name in PROXY_HEADERS if name not in _OWN)


class Visit(Protocol):
    """What is needed of a request, Gradio's or Starlette's."""

    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def client(self) -> Any: ...


class Visitors:
    """Says who a request is from. `behind_hub`: on a Space, where the Hub's proxy has said where it came from."""

    def __init__(self, *, behind_hub: bool = False) -> None:
        self._behind_hub = behind_hub

    def credentials(self, visit: Visit) -> dict[str, str]:
        """The headers that say who a request is from, from where, and which host it was addressed to.

        Each of them can be sent as it is. A value that cannot is `unknown`, and is left out where it would prove who
        somebody is.
        """
        given = visit.headers
        tokens = {name: cookie_token(given.get("cookie", ""), name) for name in _COOKIES}
        peer = visit.client.host if visit.client else ""
        forwarded = given.get("x-forwarded-for", "").rsplit(",", 1)[-1].strip() if self._behind_hub else ""
        hosts = given.get("x-forwarded-host", "")
        authorization = given.get("authorization", "")
        headers = {
            "Authorization": authorization if is_plain(authorization) else "",
            "Cookie": "; ".join(f"{name}={token}" for name, token in tokens.items() if token),
            "X-Forwarded-For": canonical_ip(forwarded or peer) or UNKNOWN,
            # The page's own, and what a proxy in front says that the browser asked for.
            "X-Forwarded-Host": ", ".join(filter(None, map(_sendable, (given.get("host", ""), hosts)))),
        }
        # What a proxy in front says of itself is for the backend to judge as well.
        headers |= {name: _sendable(given.get(name, "")) for name in _OF_PROXIES}
        return {name: value for name, value in headers.items() if value}

    def current(self) -> dict[str, str]:
        """Those of the visitor whose event Gradio is handling now; none outside of an event."""
        visit = LocalContext.request.get(None)
        return self.credentials(visit) if visit is not None else {}


def is_anonymous(credentials: Mapping[str, str]) -> bool:
    """Whether these headers prove nothing about who somebody is."""
    return "Authorization" not in credentials and "Cookie" not in credentials


def _sendable(value: str) -> str:
    return value if is_plain(value) else UNKNOWN
