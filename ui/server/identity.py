"""Asks the backend who a visitor is: only a whole, timely and understood answer counts as one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Self

import httpx
from pydantic import ValidationError

from api.account_views import SessionView
from gift_core.errors import Problem
from ui.connection import problems_of

logger = logging.getLogger(__name__)

_PATH = "/api/v1/session"
# A page that waits longer is better told so.
_PATIENCE_SECONDS = 8.0
# The backend closes connections that nothing was asked on for five seconds.
_KEPT_SECONDS = 2.0


class NoAnswerError(Exception):
    """The backend did not say who a visitor is: nothing is known about what they may do."""


class NotAcceptedError(Exception):
    """The backend refused to say: for example because a key is not valid, or too many requests came."""

    def __init__(self, status: int, problems: Sequence[Problem], headers: Mapping[str, str]) -> None:
        self.status = status
        self.problems = tuple(problems)
        self.headers = headers
        super().__init__("\n".join(map(str, problems)))


class Identities:
    """Asks the backend at `api_url`, for as long as the block lasts. It holds no thread while it waits."""

    def __init__(self, api_url: str, *, patience: float = _PATIENCE_SECONDS) -> None:
        self._api_url = api_url
        self._patience = patience
        self._http: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=_KEPT_SECONDS)
        # trust_env=False: a proxy in the environment is for the internet, the backend is on this network.
        self._http = httpx.AsyncClient(base_url=self._api_url, timeout=self._patience, limits=limits, trust_env=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def identify(self, credentials: Mapping[str, str]) -> SessionView:
        """Who sends these headers. Raises `NoAnswerError` and `NotAcceptedError`."""
        try:
            async with asyncio.timeout(self._patience):
                answer = await self._ask(credentials)
            if answer.status_code == 200:
                return SessionView.model_validate_json(answer.content)
        except NoAnswerError:
            raise
        except (httpx.HTTPError, TimeoutError, ValidationError) as error:
            raise NoAnswerError(type(error).__name__) from error
        except Exception as error:
            # Whatever it is, it is no permission.
            logger.exception("The backend could not be asked who a visitor is.")
            raise NoAnswerError(type(error).__name__) from error
        if 400 <= answer.status_code < 500:
            kept = {name: answer.headers[name] for name in ("retry-after",) if name in answer.headers}
            raise NotAcceptedError(answer.status_code, problems_of(answer), kept)
        raise NoAnswerError(f"status {answer.status_code}")

    async def _ask(self, credentials: Mapping[str, str]) -> httpx.Response:
        if self._http is None:
            raise NoAnswerError("the server is not running")
        try:
            return await self._http.get(_PATH, headers=dict(credentials))
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            # A kept connection that the backend has just closed: once more, on another one.
            return await self._http.get(_PATH, headers=dict(credentials))
