"""Tokens of the Hub: the studio's own is for its admins."""

from __future__ import annotations

from pydantic import SecretStr

from api.caller import Caller
from gift_core.errors import SpecError


def require_own_token(caller: Caller, token: SecretStr | None) -> None:
    """Raises `SpecError` for an upload without a token, unless an admin asks for it."""
    if token is None and not caller.is_admin:
        raise SpecError("Uploads need a token of your own.", field="token", remedy="Make one with the role write.")
