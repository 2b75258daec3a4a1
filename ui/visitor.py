"""Whose visit it is that the front end works for: what proves a visitor to the backend, passed on with every request.

The front end has no credential of its own, so nothing that goes through it can do more than its visitor may.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from gradio.context import LocalContext
from starlette.requests import cookie_parser

from gift_core.config.addresses import CLIENT_HEADERS

# The backend's own; cookies of other applications on this host are not its business.
_OF_PROXIES = tuple(name for name in (*CLIENT_HEADERS, "forwarded", "via") if name != "x-forwarded-for")
_COOKIES = ("gift_session", "gift_oauth")


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
        """The headers that say who a request is from, from where, and which host it was addressed to."""
        given = visit.headers
        cookies = cookie_parser(given.get("cookie", ""))
        peer = visit.client.host if visit.client else None
        forwarded = given.get("x-forwarded-for") if self._behind_hub else None
        headers = {
            "Authorization": given.get("authorization"),
            "Cookie": "; ".join(f"{name}={cookies[name]}" for name in _COOKIES if name in cookies),
            "X-Forwarded-For": forwarded or peer,
            "X-Forwarded-Host": given.get("host"),
        }
        # What a proxy in front says of itself is for the backend to judge as well.
        headers |= {name: given.get(name) for name in _OF_PROXIES}
        return {name: value for name, value in headers.items() if value}

    def current(self) -> dict[str, str]:
        """Those of the visitor whose event Gradio is handling now; none outside of an event."""
        visit = LocalContext.request.get(None)
        return self.credentials(visit) if visit is not None else {}
