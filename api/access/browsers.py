"""What a browser is called in the list of sessions."""

from __future__ import annotations

# By what they write into `User-Agent`. Most browsers also name those that they imitate, so the order matters.
_BROWSERS = (
    *(("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser/", "Samsung Internet"), ("Firefox/", "Firefox")),
    *(("FxiOS/", "Firefox"), ("CriOS/", "Chrome"), ("Chrome/", "Chrome"), ("Safari/", "Safari"), ("curl/", "curl")),
    *(("python-", "Python"), ("Python", "Python")),
)
_SYSTEMS = (
    *(("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows")),
    *(("Mac OS X", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux")),
)


def browser_name(user_agent: str) -> str:
    """Return such as "Firefox on Linux", or "" for a program that is not known.

    It is made of known names only: nothing of what a client sends is stored or shown.
    """
    browser = _first(_BROWSERS, user_agent)
    system = _first(_SYSTEMS, user_agent)
    return f"{browser} on {system}" if browser and system else browser or system


def _first(names: tuple[tuple[str, str], ...], text: str) -> str:
    return next((name for mark, name in names if mark in text), "")
