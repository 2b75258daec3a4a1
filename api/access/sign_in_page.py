"""The page to sign in on, and to see where one is signed in.

It is plain HTML without a script, so that it works before anything else does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from fastapi.responses import HTMLResponse

from api.middleware.caching import NO_STORE
from workers.account_records import BrowserSession

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
:is(button, a, input):focus-visible {{ outline: 3px solid #2563eb; outline-offset: 2px; }}
h2 {{ font-size: 1.1rem; margin: 1.5rem 0 0; }}
p {{ margin: 0; }}
ul {{ list-style: none; margin: 0; padding: 0; display: grid; gap: .5rem; }}
li {{ display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: center; justify-content: space-between;
  padding: .75rem; border: 1px solid light-dark(#cbd5e1, #475569); border-radius: 6px; overflow-wrap: anywhere; }}
li div {{ flex: 1 1 14rem; }}
li b {{ display: block; }}
small {{ display: block; color: light-dark(#475569, #cbd5e1); line-height: 1.45; }}
li button {{ background: none; color: light-dark(#b91c1c, #fca5a5); border-color: currentColor; padding: .4rem .9rem; }}
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
_SESSIONS = """<h2>{title}</h2>
<p><small>{note}</small></p>
<ul>
{items}
</ul>"""
_SESSION = """<li><div><b>{browser}</b><small>{details}</small></div>
<form method="post" action="{root}/sign-in/sessions/{id}/end">
<button aria-label="End {label}">End</button></form></li>"""
_MEANS = {"secret": "with the admin's password", "hub": "with Hugging Face"}


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


def signed_in_page(
    root: str,
    destination: str,
    name: str,
    role: str,
    *,
    current: str | None,
    own: Sequence[BrowserSession],
    others: Sequence[BrowserSession],
    most: int,
) -> HTMLResponse:
    """Who is signed in already, the way out, and where else this account, and others, are signed in.

    `current` is the id of this browser's own session. Of each list the newest `most` are shown.
    """
    values = {"root": root, "destination": destination, "name": name, "role": role}
    parts = [_SIGNED_IN.format(**{key: escape(value) for key, value in values.items()})]
    note = "Browsers that are signed in with this account. End any that you do not know."
    if own:
        parts.append(_list(root, "Your sessions", note, own, current, most))
    if others:
        note = "Other accounts, which you see as an admin."
        parts.append(_list(root, "Sessions of others", note, others, current, most, with_account=True))
    return _page(parts, 200)


def _list(
    root: str,
    title: str,
    note: str,
    sessions: Sequence[BrowserSession],
    current: str | None,
    most: int,
    *,
    with_account: bool = False,
) -> str:
    if len(sessions) > most:
        note += f" These are the newest {most}; GET /api/v1/sessions lists all."
    items = "\n".join(_item(root, each, current, with_account=with_account) for each in sessions[:most])
    return _SESSIONS.format(title=title, note=escape(note), items=items)


def _item(root: str, session: BrowserSession, current: str | None, *, with_account: bool) -> str:
    browser = session.browser or "Unknown browser"
    if session.id == current:
        browser += " (this one)"
    means = _MEANS.get(session.means) or f"with the key {session.key_prefix}"
    details = [
        session.account_id if with_account else "",
        f"Signed in {means}, {_when(session.created)}" + (f", from {session.address}" if session.address else ""),
        f"Last used {_when(session.last_used)}",
    ]
    return _SESSION.format(
        root=escape(root),
        id=escape(session.id),
        browser=escape(browser),
        label=escape(f"{browser}, begun {_when(session.created)}"),
        details="<br>".join(escape(line) for line in details if line),
    )


def _when(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"


def _page(parts: list[str], status: int) -> HTMLResponse:
    # no-store: what the page says about who is signed in is not for the next user of this browser.
    headers = {"Cache-Control": NO_STORE}
    return HTMLResponse(_PAGE.format(parts="\n".join(filter(None, parts))), status, headers)
