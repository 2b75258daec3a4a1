"""Files on their way to a page: Gradio takes them before a page sees them, so the backend's quotas are kept here."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.dataset_views import UploadAllowance
from gift_core.errors import GiftError, Problem
from ui.client import StudioClient
from ui.connection import StudioError
from ui.gate import path_of
from ui.server.problems import refusal
from ui.visitor import Visitors

_PATH = "/gradio_api/upload"
_MEGABYTE = 2**20
# What a form has besides its file: a name, and what separates them.
_FORM_BYTES = 64 * 2**10
# The room on the disk is looked at again after as much.
_LOOK_BYTES = 4 * _MEGABYTE
# Of one account; a page sends one at a time.
_AT_ONCE = 3
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_FULL = Problem("The disk is full.", remedy="Remove runs or data sets that are no longer needed, then try again.")


class UploadLimit:
    """Refuses files that the backend would not take from this visitor, while they come in.

    A file has the backend's largest size at most. All files of an account together, those of the last `kept_seconds`
    included, fit what its data sets may still have: so long a file stays in `folder`. `check_room` raises while the
    disk is too full.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        client: StudioClient,
        visitors: Visitors,
        folder: Path,
        check_room: Callable[[], None],
        kept_seconds: float,
    ) -> None:
        self._app = app
        self._client = client
        self._visitors = visitors
        self._folder = folder
        self._check_room = check_room
        self._kept_seconds = kept_seconds
        self._sent = _Sent(kept_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not path_of(scope).startswith(_PATH):
            await self._app(scope, receive, send)
            return
        try:
            allowed = await asyncio.to_thread(self._allowance, HTTPConnection(scope))
        except StudioError as error:
            await _refusal(error.status or 503, *error.problems)(scope, receive, send)
        except GiftError as error:
            await _refusal(507, *error.problems)(scope, receive, send)
        else:
            await self._take_in(scope, receive, send, allowed)

    def _allowance(self, connection: HTTPConnection) -> UploadAllowance:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._check_room()
        _remove_unfinished(self._folder, self._kept_seconds)
        return self._client.acting_for(self._visitors.credentials(connection)).upload_allowance()

    async def _take_in(self, scope: Scope, receive: Receive, send: Send, allowed: UploadAllowance) -> None:
        files = self._sent.of(allowed.account)
        if sum(file.is_coming for file in files) >= _AT_ONCE:
            problem = Problem(f"{_AT_ONCE} of your files are being sent already.", remedy="Wait for one of them.")
            await _refusal(429, problem)(scope, receive, send)
            return
        file = _File()
        if refused := _refusal_of(allowed, _declared(scope), sum(each.bytes for each in files)):
            await refused(scope, receive, send)
            return
        files.append(file)
        coming = _Coming(receive, send, allowed, file, files, self._check_room)
        try:
            await self._app(scope, coming.receive, coming.send)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            coming.refused = _refusal(507, _FULL)
        finally:
            file.ended = time.monotonic()
            if coming.refused is not None:
                # Nothing of it is left.
                file.bytes = 0
            await coming.answer(scope)


@dataclass(eq=False)
class _File:
    """A file that an account has sent, or is sending."""

    bytes: int = 0
    ended: float | None = field(default=None)

    @property
    def is_coming(self) -> bool:
        return self.ended is None


class _Sent:
    """The files that each account has sent within some seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._files: dict[str, list[_File]] = {}

    def of(self, account: str) -> list[_File]:
        """Those of an account, to which another is added where it begins."""
        since = time.monotonic() - self._seconds
        for name, files in [*self._files.items()]:
            files[:] = [file for file in files if file.ended is None or file.ended > since]
            if not files:
                del self._files[name]
        return self._files.setdefault(account, [])


class _Coming:
    """One file on its way. Once `refused` is set, that is the answer, whatever Gradio makes of the broken-off form."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        allowed: UploadAllowance,
        file: _File,
        files: list[_File],
        check_room: Callable[[], None],
    ) -> None:
        self._receive, self._send, self._check_room = receive, send, check_room
        self._allowed, self._file, self._files = allowed, file, files
        self._looked = 0
        self._held_back: list[Message] = []
        self.refused: Response | None = None

    async def receive(self) -> Message:
        try:
            message = await self._receive()
            await self._judge(message)
        except HTTPException as error:
            # It came too slowly.
            self.refused = _refusal(error.status_code, Problem(f"{error.detail}."), headers=error.headers)
        except GiftError as error:
            self.refused = _refusal(507, *error.problems)
        if self.refused is not None:
            # After this exception, and no other, Gradio removes what has arrived.
            raise MultiPartException("The file was refused.")
        return message

    async def _judge(self, message: Message) -> None:
        if message["type"] == "http.disconnect" and self._file.is_coming:
            self.refused = _refusal(400, Problem("The connection was closed before the file was complete."))
            return
        self._file.bytes += len(message.get("body", b""))
        together = sum(file.bytes for file in self._files if file is not self._file)
        self.refused = _refusal_of(self._allowed, self._file.bytes, together)
        if self._file.bytes - self._looked > _LOOK_BYTES:
            self._looked = self._file.bytes
            await asyncio.to_thread(self._check_room)

    async def send(self, message: Message) -> None:
        is_fault = message["type"] == "http.response.start" and message["status"] >= 500
        if self.refused is not None or is_fault or self._held_back:
            # Why it failed is known when its exception arrives.
            self._held_back.append(message)
        else:
            await self._send(message)

    async def answer(self, scope: Scope) -> None:
        """Send the refusal, or else what was held back."""
        if self.refused is not None:
            await self.refused(scope, self._receive, self._send)
            return
        for message in self._held_back:
            await self._send(message)


def _refusal_of(allowed: UploadAllowance, size: int, others: int) -> Response | None:
    """The answer to a form that is too large by itself or with the `others` of its account; None to one that fits."""
    if size > allowed.file_bytes + _FORM_BYTES:
        return _refusal(
            413,
            Problem(
                f"The file is larger than the {allowed.file_bytes / _MEGABYTE:.3g} MB limit.",
                remedy="Choose one of fewer rows, or train from the file itself on the command line with `gift train`.",
            ),
        )
    if allowed.bytes_left is not None and size + others > allowed.bytes_left + _FORM_BYTES:
        return _refusal(
            429,
            Problem(
                f"Your data sets may have {allowed.bytes_left / _MEGABYTE:.3g} MB more, files that you sent in the "
                "last minutes included.",
                remedy="Choose a smaller file, delete one of your data sets, or wait some minutes.",
            ),
        )
    return None


def _refusal(status: int, *problems: Problem, headers: Mapping[str, str] | None = None) -> Response:
    # The rest of the file is not waited for.
    headers = {"Connection": "close", **(headers or {})}
    return refusal(status, _CODES.get(status, "refused"), HTTPStatus(status).phrase, problems, headers)


_CODES = {400: "request", 408: "request", 413: "too_large", 429: "quota", 503: "no_answer", 507: "disk_full"}


def _remove_unfinished(folder: Path, seconds: float) -> None:
    """Remove files that were never put into a folder of their own: an upload was broken off, and Gradio forgot it."""
    with suppress(OSError):
        for path in folder.iterdir():
            with suppress(OSError):
                if path.is_file() and time.time() - path.stat().st_mtime > seconds:
                    path.unlink()


def _declared(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "")
    return int(length) if length.isdecimal() else 0
