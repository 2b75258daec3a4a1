"""Writes into the audit log what was done and what was refused, with the status that the caller got."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.caller import Caller
from api.permissions import Action
from workers.account_records import AuditEntry
from workers.audit import AuditLog

_log = logging.getLogger(__name__)
_REQUEST_ID = re.compile(r"[\w.-]{1,64}")
_HEADER = "X-Request-ID"
_MOST_CHARACTERS = 200


class Auditing:
    """Names every request, and logs those whose route found them worth it: `allow` leaves action and caller.

    A route may leave `request.state.thing`, what it made; otherwise the path says what it was about.
    """

    def __init__(self, app: ASGIApp, log: AuditLog) -> None:
        self._app = app
        self._audit = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        name = state.setdefault("request_id", _given(scope) or secrets.token_hex(8))

        async def audited(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault(_HEADER, name)
                # Before the answer: who reads the log after it finds the entry.
                await self._note(scope, message["status"])
            await send(message)

        try:
            await self._app(scope, receive, audited)
        except Exception:
            # The server's last resort answers outside of this.
            await self._note(scope, 500)
            raise

    async def _note(self, scope: Scope, status: int) -> None:
        state = scope["state"]
        # Taken away: an answer that broke off in the middle is noted once.
        action, caller = state.pop("audit", (None, None))
        if isinstance(action, Action) and isinstance(caller, Caller) and action.rule.logged and caller.is_known:
            entry = AuditEntry(
                account_id=caller.account_id,
                action=action.word,
                thing=str(state.get("thing") or scope["path"])[:_MOST_CHARACTERS],
                outcome=str(status),
                request_id=state["request_id"],
                address=caller.address,
            )
            try:
                await asyncio.to_thread(self._audit.add, entry)
            except Exception:
                # What was done is done. The answer says so, and the server's log that its trace is missing.
                _log.exception("The audit log could not be written: %s", entry)


def _given(scope: Scope) -> str | None:
    given = Headers(scope=scope).get(_HEADER, "")
    return given if _REQUEST_ID.fullmatch(given) else None
