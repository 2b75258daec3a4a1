"""Streams that are open end with what their client was identified by: a key, a session, an account that is enabled."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from api.auth import CallerDependency, is_still_proven
from api.dependencies import ServicesDependency
from gift_core.errors import GiftError

logger = logging.getLogger(__name__)


async def _check_of(
    request: Request, caller: CallerDependency, services: ServicesDependency
) -> Callable[[], bool] | None:
    """The question to ask while a stream is open; None for callers that nothing has identified."""
    if not caller.is_known or not services.studio.settings.has_accounts:
        return None

    def is_allowed() -> bool:
        try:
            return is_still_proven(request, services.studio.accounts, caller)
        except GiftError:
            # Without an answer the stream ends. A client that may have it asks for it again.
            logger.warning("a stream has ended: the store did not say whether %s may still have it", caller.account_id)
            return False

    return is_allowed


StreamCheck = Annotated[Callable[[], bool] | None, Depends(_check_of)]
