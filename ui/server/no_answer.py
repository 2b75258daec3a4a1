"""What is answered while the backend does not say who a visitor is: a page for a browser, a document for programs."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response

from gift_core.errors import Problem
from ui.server.problems import refusal

# Seconds until the page loads itself again.
_PAUSE = 15
_HEADERS = {"Retry-After": str(_PAUSE), "Cache-Control": "no-store"}
_PROBLEM = Problem(
    "The studio's backend does not answer, so the studio cannot tell who you are.",
    remedy="Try again in a moment. If that does not help, the server's log says what it is doing.",
)
# Without a script, and without a file of the studio's: it works when nothing else does.
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="{pause}">
<title>No answer · GIFT Studio</title>
<link rel="icon" href="data:,">
<style>
:root {{ color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.5; }}
body {{ margin: 0; background: light-dark(#f8fafc, #0b0f19); color: light-dark(#1f2937, #f3f4f6); }}
main {{ box-sizing: border-box; max-width: 24rem; margin: 12vh auto; padding: 0 1rem; display: grid; gap: 1rem; }}
h1, p {{ margin: 0; overflow-wrap: anywhere; }}
h1 {{ font-size: 1.6rem; line-height: 1.25; }}
a {{ padding: .6rem; border-radius: 6px; background: #2563eb; color: #fff; text-align: center; text-decoration: none; }}
a:focus-visible {{ outline: 3px solid #2563eb; outline-offset: 2px; }}
</style>
<main>
<h1>The studio does not answer</h1>
<p role="alert">Its backend is starting, busy or stopped, so the studio cannot tell who you are.</p>
<p>This page tries again every {pause} seconds. If it stays, ask the person who runs this studio to look at the
server's log.</p>
<a href="">Try again</a>
</main>
</html>
"""


def no_answer(headers: Headers) -> Response:
    """503 for a request with these headers; it says when to try again."""
    if "text/html" in headers.get("accept", ""):
        return HTMLResponse(_PAGE.format(pause=_PAUSE), 503, _HEADERS)
    return refusal(503, "unreachable", "The backend does not answer", [_PROBLEM], _HEADERS)
