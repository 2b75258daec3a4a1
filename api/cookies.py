"""The studio's cookies: never readable by a script, and never sent along by a page of another site."""

from __future__ import annotations

from fastapi import Request, Response

from workers.settings import Settings


def set_cookie(response: Response, request: Request, settings: Settings, name: str, value: str, seconds: float) -> None:
    """Give the browser a cookie, or take it back with 0 `seconds`. `value` is url-safe."""
    # A Space is shown in a page of the Hub, where Lax cookies do not count; what a foreign page sends with these is
    # refused by its origin. Partitioned: only there, and not wherever else the Space may be framed.
    site = "SameSite=None; Partitioned" if settings.space_id is not None else "SameSite=Lax"
    secure = "; Secure" if _is_secure(request, settings) else ""
    path = request.scope.get("root_path", "").rstrip("/") or "/"
    # Written out: the standard library knows `Partitioned` from Python 3.14 on.
    cookie = f"{name}={value}; Max-Age={int(seconds)}; Path={path}; HttpOnly; {site}{secure}"
    response.headers.append("Set-Cookie", cookie)


def _is_secure(request: Request, settings: Settings) -> bool:
    return (settings.base_url or str(request.base_url)).startswith("https:")
