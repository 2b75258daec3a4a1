"""Secrets that the studio hands out: made from random bits, shown once, kept only as digests."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

_RANDOM_BYTES = 32
_PREFIX_BYTES = 5
_KEY = re.compile(r"gift_([0-9a-f]{10})_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class NewKey:
    """A key as its user gets it, once. `prefix` is not secret."""

    prefix: str
    text: str


def new_key() -> NewKey:
    prefix = secrets.token_hex(_PREFIX_BYTES)
    return NewKey(prefix, f"gift_{prefix}_{secrets.token_urlsafe(_RANDOM_BYTES)}")


def new_token() -> str:
    """A session's secret."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def new_session_id() -> str:
    """What a session is called in lists; not secret."""
    return secrets.token_hex(_PREFIX_BYTES)


def prefix_of(text: str) -> str | None:
    """The prefix of what has a key's form."""
    found = _KEY.fullmatch(text)
    return found[1] if found else None


def digest_of(text: str) -> str:
    """What is kept of a secret.

    One round of SHA-256 and no salt: slow hashes make up for passwords that can be guessed. These have 256 random bits,
    which no number of guesses finds, and a key is checked at every request.
    """
    return hashlib.sha256(text.encode()).hexdigest()


def same(first: str, second: str) -> bool:
    """Compared in a time that says nothing about where they differ."""
    return secrets.compare_digest(first.encode(), second.encode())
