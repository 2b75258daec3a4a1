"""Signing in with the Hugging Face Hub: OpenID Connect's authorization code flow with PKCE (RFC 6749, RFC 7636).

The Hub's tokens are used once, to ask who it is, and forgotten: none is stored, logged or handed on.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx
from pydantic import BaseModel, Field, ValidationError

from gift_core.errors import GiftError
from workers.settings import Settings

_DISCOVERY = "/.well-known/openid-configuration"
_SCOPES = "openid profile"
_TIMEOUT = httpx.Timeout(15, connect=5)
# Between leaving for the Hub and coming back from it.
_PENDING_SECONDS = 600.0
_MOST_PENDING = 1000

Model = TypeVar("Model", bound=BaseModel)


class SignInError(GiftError):
    """The Hub did not say who this is."""

    code = "unauthenticated"


class Endpoints(BaseModel):
    """Of a provider's discovery document, what is needed here."""

    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str


class Organization(BaseModel):
    """An organization of the Hub that a person belongs to."""

    preferred_username: str = Field(max_length=200)


class Person(BaseModel):
    """A person who signed in. `sub` stays when they change their user name; the scope `profile` covers `orgs`."""

    sub: str = Field(min_length=1, max_length=200)
    preferred_username: str = Field(min_length=1, max_length=200)
    orgs: list[Organization] | None = None


@dataclass(frozen=True)
class Pending:
    """A sign-in that is under way: what proves its end to the Hub, and where the browser was going."""

    verifier: str
    destination: str
    deadline: float


class HubSignIn:
    """Sends browsers to the provider and finds out who comes back."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._provider = (settings.openid_provider_url or "").rstrip("/")
        self._client_id = settings.oauth_client_id or ""
        self._secret = settings.oauth_client_secret
        self._clock = clock
        self._pending: OrderedDict[str, Pending] = OrderedDict()
        self._lock = threading.Lock()

    async def begin(self, destination: str, redirect_uri: str) -> tuple[str, str]:
        """The address to send a browser to, and the state that binds the answer to this browser.

        Raises `SignInError` when the provider does not answer.
        """
        async with self._http() as http:
            endpoints = await self._endpoints(http)
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        with self._lock:
            self._pending[state] = Pending(verifier, destination, self._clock() + _PENDING_SECONDS)
            if len(self._pending) > _MOST_PENDING:
                self._pending.popitem(last=False)
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "scope": _SCOPES,
            "state": state,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        return f"{endpoints.authorization_endpoint}?{urlencode(query)}", state

    async def finish(self, code: str, state: str, own_state: str, redirect_uri: str) -> tuple[Person, str]:
        """Who came back with this code, and where they were going.

        `own_state` is what the browser itself kept: without it somebody could sign a stranger in as themselves.
        Raises `SignInError`.
        """
        with self._lock:
            pending = self._pending.pop(state, None)
        is_own = secrets.compare_digest(state.encode(), own_state.encode())
        if pending is None or not is_own or pending.deadline < self._clock():
            raise SignInError("This sign-in was not begun here, or too long ago.", remedy="Sign in again.")
        async with self._http() as http:
            endpoints = await self._endpoints(http)
            token = await self._token(http, endpoints, code, pending.verifier, redirect_uri)
            headers = {"Authorization": f"Bearer {token}"}
            answer = await _answer(http.get(endpoints.userinfo_endpoint, headers=headers))
        return _parsed(Person, answer), pending.destination

    async def _endpoints(self, http: httpx.AsyncClient) -> Endpoints:
        return _parsed(Endpoints, await _answer(http.get(f"{self._provider}{_DISCOVERY}")))

    async def _token(
        self, http: httpx.AsyncClient, endpoints: Endpoints, code: str, verifier: str, redirect_uri: str
    ) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
            "client_id": self._client_id,
        }
        password = self._secret.get_secret_value() if self._secret else ""
        answer = await _answer(http.post(endpoints.token_endpoint, data=form, auth=(self._client_id, password)))
        token = answer.get("access_token")
        if not isinstance(token, str):
            raise _unusable()
        return token

    def _http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=_TIMEOUT)


async def _answer(request: Any) -> dict[str, Any]:
    # What the provider said stays out of the message: it may repeat what it was sent.
    try:
        response = await request
    except httpx.HTTPError:
        raise SignInError("The Hub does not answer.", remedy="Try again in a while.") from None
    try:
        document = response.json() if response.is_success else None
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise _unusable()
    return document


def _parsed(kind: type[Model], document: dict[str, Any]) -> Model:
    try:
        return kind.model_validate(document)
    except ValidationError:
        raise _unusable() from None


def _unusable() -> SignInError:
    return SignInError("The Hub did not accept this sign-in.", remedy="Sign in again.")


def _challenge(verifier: str) -> str:
    """PKCE's S256: who stole the code on its way back does not have the verifier."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
