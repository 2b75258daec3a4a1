"""Idempotency keys: which request each was first used for, and what that has made."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlmodel import Session, col, delete

from gift_core.errors import GiftError
from workers.database import Database
from workers.records import IdempotencyKey

# After a week nobody repeats a request any more.
_KEPT_SECONDS = 7 * 24 * 3600


class KeyConflictError(GiftError):
    """A key was used for another request before."""

    code = "conflict"


@dataclass(frozen=True)
class Claim:
    """A request that creates something: the key that its client gave it, and the fingerprint of all that it asks."""

    key: str
    fingerprint: str


class Keys:
    """The keys of one studio."""

    def __init__(self, database: Database) -> None:
        self._read = database.read
        self._write = database.write

    @contextmanager
    def held(self, claim: Claim | None) -> Iterator[None]:
        """Within the block the key is this request's, and afterwards too unless the block raised.

        Raises `KeyConflictError` where it is another's. What has no claim holds nothing.
        """
        is_new = claim is not None and self._take(claim)
        try:
            yield
        except Exception:
            # Nothing came of it: the key is free for the request as it should have been.
            if claim is not None and is_new:
                self._release(claim)
            raise

    def made(self, claim: Claim | None) -> str | None:
        """The id of what the request has made already."""
        if claim is None:
            return None
        with self._read() as session:
            known = session.get(IdempotencyKey, claim.key)
        return known.made if known else None

    def note(self, claim: Claim | None, made: str) -> None:
        """What a request has made that is not made in the store; `held` it is its own."""
        if claim is not None:
            with self._write() as session:
                key_record(session, claim).made = made

    def new(self, claim: Claim | None, things: int) -> int:
        """How many of so many things a request will make: none where it has made them already."""
        return 0 if self.made(claim) else things

    def _take(self, claim: Claim) -> bool:
        with self._write() as session:
            session.exec(delete(IdempotencyKey).where(col(IdempotencyKey.created) < time.time() - _KEPT_SECONDS))
            is_new = session.get(IdempotencyKey, claim.key) is None
            key_record(session, claim)
            return is_new

    def _release(self, claim: Claim) -> None:
        mine = (col(IdempotencyKey.key) == claim.key, col(IdempotencyKey.fingerprint) == claim.fingerprint)
        with self._write() as session:
            # The same request, sent twice at once, may have come to something the other time.
            session.exec(delete(IdempotencyKey).where(*mine, col(IdempotencyKey.made).is_(None)))


def key_record(session: Session, claim: Claim) -> IdempotencyKey:
    """What is known of a key, from now on if it is new. What its request makes is noted there in the same transaction.

    Raises `KeyConflictError` where it was used for another request.
    """
    known = session.get(IdempotencyKey, claim.key)
    if known is None:
        known = IdempotencyKey(key=claim.key, fingerprint=claim.fingerprint)
        session.add(known)
    # One from before keys had fingerprints fits every request.
    elif known.fingerprint not in (claim.fingerprint, ""):
        raise KeyConflictError(
            "This idempotency key was already used for a different request.",
            field="Idempotency-Key",
            remedy="Send a new key with a new request.",
        )
    return known
