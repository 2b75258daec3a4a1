"""The page to sign in on: plain HTML without a script, so that it works before anything else does."""

from __future__ import annotations

from html import escape

from fastapi.responses import HTMLResponse

from api.middleware.caching import NO_STORE

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Sign in · GIFT Studio</title>
<link rel="icon" href="data:,">
<style>
:root {{ color-scheme: light dark; font-family: system-ui, sans-serif; }}
main {{ max-width: 24rem; margin: 12vh auto; padding: 0 1rem; display: grid; gap: 1rem; }}
form {{ display: grid; gap: .5rem; }}
input, button, a.button {{ font: inherit; padding: .6rem; border: 1px solid #8894a8; border-radius: 6px; }}
button, a.button {{ background: #2563eb; border-color: #2563eb; color: #fff; }}
a.button {{ text-align: center; text-decoration: none; }}
[role=alert] {{ border-left: 4px solid #b91c1c; padding-left: .75rem; }}
</style>
<main>
<h1>GIFT Studio</h1>
{parts}
</main>
</html>
"""
_PROBLEM = '<p role="alert">{text}</p>'
_HUB = '<a class="button" href="{root}/oauth/login?{query}">Sign in with Hugging Face</a>'
_FORM = """<form method="post" action="{root}/sign-in">
<input type="hidden" name="next" value="{destination}">
<label for="secret">API key{or_password}</label>
<input id="secret" name="secret" type="password" autocomplete="current-password" required maxlength="500" autofocus>
<button>Sign in</button>
</form>"""
_SIGNED_IN = """<p>Signed in as <b>{name}</b>, {role}.</p>
<form method="post" action="{root}/sign-out"><button>Sign out</button></form>
<p><a href="{destination}">To the studio</a></p>"""


def sign_in_page(
    root: str, destination: str, query: str, *, has_password: bool, has_hub: bool, problem: str = "", status: int = 200
) -> HTMLResponse:
    """The ways to sign in that there are.

    `root`: path of the studio, mostly "". `query` takes the destination to the Hub and back.
    """
    parts = [
        _PROBLEM.format(text=escape(problem)) if problem else "",
        _HUB.format(root=escape(root), query=escape(query)) if has_hub else "",
        _FORM.format(
            root=escape(root),
            destination=escape(destination),
            or_password=", or the admin's password" if has_password else "",
        ),
    ]
    return _page(parts, status)


def signed_in_page(root: str, destination: str, name: str, role: str) -> HTMLResponse:
    """Who is signed in already, and the way out."""
    values = {"root": root, "destination": destination, "name": name, "role": role}
    return _page([_SIGNED_IN.format(**{key: escape(value) for key, value in values.items()})], 200)


def _page(parts: list[str], status: int) -> HTMLResponse:
    # no-store: what the page says about who is signed in is not for the next user of this browser.
    headers = {"Cache-Control": NO_STORE}
    return HTMLResponse(_PAGE.format(parts="\n".join(filter(None, parts))), status, headers)
