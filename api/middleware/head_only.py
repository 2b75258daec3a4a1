"""Answers whose head is all that the client needs: the application is stopped before it makes a body."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Takes the start of an answer, which it may change; returns whether it is sent without its body.
Decision = Callable[[Message], bool]


class _HeadSentError(Exception):
    """The answer is complete."""


async def answer_by_head(app: ASGIApp, scope: Scope, receive: Receive, send: Send, is_enough: Decision) -> None:
    """Pass an answer on, or only its head where `is_enough` says so: then no file is read, and no stream begins."""

    async def judged(message: Message) -> None:
        if message["type"] != "http.response.start" or not is_enough(message):
            await send(message)
            return
        await send(message)
        await send({"type": "http.response.body", "body": b""})
        raise _HeadSentError

    try:
        await app(scope, receive, judged)
    except _HeadSentError:
        pass
    except BaseExceptionGroup as group:
        # Streams are sent from within a group of tasks.
        rest = group.split(_HeadSentError)[1]
        if rest is not None:
            raise rest from None
