"""What browsers are told to refuse on the studio's behalf."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Gradio's pages hold their configuration in inline scripts, and its HTML component builds functions from text; what the
# policy still gives is that nothing is loaded from, or sent to, another host.
_POLICY = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval' blob:",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
}
# A Space is shown inside a page of the Hub.
_HUB = "https://huggingface.co https://*.huggingface.co"


class SecurityHeaders:
    """Adds them to every answer that has none of its own. `framed`: the Hub may show the pages within its own."""

    def __init__(self, app: ASGIApp, *, framed: bool = False) -> None:
        self._app = app
        policy = _POLICY | {"frame-ancestors": f"'self' {_HUB}" if framed else "'self'"}
        self._headers = {
            "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, protected if scope["type"] == "http" else send)
