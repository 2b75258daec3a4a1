"""What the commands ask of a studio besides what the pages do: files of jobs, exports, uploads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx

from api.output_views import FileView, OutputView
from ui.client import StudioClient
from ui.connection import part


class CommandClient(StudioClient):
    """A connection with an API key, where the studio asks for one."""

    def __init__(self, base_url: str, key: str = "", *, transport: httpx.BaseTransport | None = None) -> None:
        super().__init__(base_url, transport=_Signed(key) if key and transport is None else transport)

    def export(self, order: Mapping[str, Any]) -> OutputView:
        """Begin an export: the fields of an `ExportOrder`."""
        return self._request(OutputView, "POST", "/exports", json=dict(order))

    def push(self, order: Mapping[str, Any], token: str, key: str) -> OutputView:
        """Begin an upload to the Hub: the fields of a `PushOrder`. The same `key` again begins no second one."""
        body = {**order, "token": token}
        return self._create(OutputView, "/pushes", body, key)

    def files(self, job_id: str) -> list[FileView]:
        """What a job has left to be taken away."""
        return self._get(list[FileView], f"/jobs/{part(job_id)}/files")

    def file(self, job_id: str, name: str) -> Iterator[bytes]:
        """One of them, in pieces."""
        return self._pieces(f"/jobs/{part(job_id)}/files/{quote(name)}")

    def archive(self, job_id: str) -> Iterator[bytes]:
        """All of them as a ZIP archive, in pieces."""
        return self._pieces(f"/jobs/{part(job_id)}/archive")

    def _pieces(self, path: str) -> Iterator[bytes]:
        with self._answer("GET", path) as response:
            yield from response.iter_bytes()


class _Signed(httpx.HTTPTransport):
    """Sends the key with every request, and to no other host: nothing here follows a redirect."""

    def __init__(self, key: str) -> None:
        super().__init__(trust_env=False)
        self._authorization = f"Bearer {key}"

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["Authorization"] = self._authorization
        return super().handle_request(request)
