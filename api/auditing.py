"""Writes into the audit log what was done and what was refused, with the status that the caller got."""

from __future__ import annotations

import logging

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.caller import Caller
from api.permissions import Action
from workers.account_records import AuditEntry
from workers.audit import AuditLog

_log = logging.getLogger(__name__)
_MOST_CHARACTERS = 200


class Auditing:
    """Logs the requests whose route found them worth it: `allow` leaves action and caller, `RequestLog` the id.

    A route may leave `request.state.thing`, what it made; otherwise the path says what it was about.
    """

    def __init__(self, app: ASGIApp, log: AuditLog) -> None:
        self._app = app
        self._audit = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def audited(message: Message) -> None:
            if message["type"] == "http.response.start":
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
                await run_in_threadpool(self._audit.add, entry)
            except Exception:
                # What was done is done. The answer says so, and the server's log that its trace is missing.
                _log.exception("The audit log could not be written: %s", entry)
