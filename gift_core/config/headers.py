"""Headers that say who a request is from and where it comes from, as the backend and the front end read them alike.

Nothing is decoded: what is read here may be sent on.
"""

from __future__ import annotations

import re

SESSION_COOKIE = "gift_session"
# Of a sign-in with the Hub that is under way.
STATE_COOKIE = "gift_oauth"
# Keys, sessions and states are url-safe base64.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,500}")
_PLAIN = re.compile(r"[\x20-\x7e\t]*")
# An address that cannot be read.
UNKNOWN = "unknown"
# These name the client.
CLIENT_HEADERS = (
    "x-forwarded-for",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-envoy-external-address",
    "true-client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "fastly-client-ip",
    "fly-client-ip",
    "do-connecting-ip",
    "x-azure-clientip",
    "x-appengine-user-ip",
    "x-vercel-forwarded-for",
    "x-nf-client-connection-ip",
)
# These name the host that the client asked for.
HOST_HEADERS = ("x-forwarded-host", "x-original-host", "x-host")
# These show that there is a proxy, and do not name the client.
PROXY_MARKS = (
    "via",
    "x-forwarded",
    "x-forwarded-proto",
    "x-forwarded-protocol",
    "x-forwarded-scheme",
    "x-forwarded-ssl",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-forwarded-prefix",
    "x-original-proto",
    "front-end-https",
    "cdn-loop",
    "cf-ray",
    "x-amzn-trace-id",
    "x-amz-cf-id",
    "x-azure-ref",
    "x-vercel-id",
)
FORWARDED = "forwarded"
# All of them: a front end passes them on for the backend to judge.
PROXY_HEADERS = (*CLIENT_HEADERS, *HOST_HEADERS, FORWARDED, *PROXY_MARKS)


def is_token(text: str) -> bool:
    """Whether this can be a key, a session or a state of the studio."""
    return _TOKEN.fullmatch(text) is not None


def cookie_token(cookies: str, name: str) -> str | None:
    """The value of a cookie of the studio in a `Cookie` header; None if it is missing or is no token.

    Libraries that read cookies decode quotation marks and octal escapes; no token has either.
    """
    found = None
    for each in cookies.split(";"):
        key, _, value = each.partition("=")
        if key.strip(" \t") == name:
            found = value.strip(" \t")
    return found if found is not None and is_token(found) else None


def bearer_token(authorization: str) -> str | None:
    """The key in an `Authorization` header, "" for one that is no token; None for another scheme or no header."""
    scheme, _, text = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return None
    text = text.strip(" \t")
    return text if is_token(text) else ""


def is_plain(value: str) -> bool:
    """Whether a header's value can be sent on as it is: ASCII without control characters."""
    return _PLAIN.fullmatch(value) is not None
