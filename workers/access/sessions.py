"""Browser sessions. Each ends with the credential that it was begun with, or when its owner or an admin ends it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, or_, tuple_
from sqlmodel import Session, col, delete, select, update

from workers.access.identity import Identity, is_valid
from workers.access.secret_marks import SecretMarks
from workers.account_records import Account, ApiKey, BrowserSession
from workers.database import Database
from workers.secret_texts import digest_of, new_session_id, new_token
from workers.store import NotFoundError

# How stale `last_used` may be: what is used all the time is not written all the time.
LAST_USED_SECONDS = 60.0


class SessionStore:
    """The sessions of one studio. Records come back detached; times are seconds since the epoch."""

    def __init__(self, database: Database, marks: SecretMarks) -> None:
        self._database = database
        self._marks = marks

    def open(
        self, identity: Identity, seconds: float, *, address: str = "", browser: str = "", former: str | None = None
    ) -> str:
        """Begin a session and return the text of its cookie. `former`: that of the session that it takes the place of.

        Sessions that are over are cleared away.
        """
        token, now = new_token(), time.time()
        mark = self._marks.make() if identity.by_secret else None
        with self._database.write() as session:
            session.exec(delete(BrowserSession).where(col(BrowserSession.expires) < now))
            if former is not None:
                session.exec(_ending(col(BrowserSession.digest) == digest_of(former)))
            session.add(
                BrowserSession(
                    digest=digest_of(token),
                    id=new_session_id(),
                    account_id=identity.account.id,
                    key_prefix=identity.key.prefix if identity.key else None,
                    means=identity.means,
                    secret_mark=mark,
                    expires=now + seconds,
                    last_used=now,
                    address=address,
                    browser=browser,
                )
            )
        return token

    def find(self, token: str) -> tuple[BrowserSession, Identity] | None:
        """Return the session of a cookie and whose it is; None when it, or what it was begun with, has ended."""
        with self._database.read() as session:
            found = session.get(BrowserSession, digest_of(token))
            if found is None or found.ended is not None or found.expires < time.time():
                return None
            account = session.get_one(Account, found.account_id)
            key = session.get(ApiKey, found.key_prefix) if found.key_prefix else None
        if not is_valid(account, key) or not self._marks.fits(found.secret_mark):
            return None
        if key is not None and not self._marks.fits(key.secret_mark):
            return None
        return found, Identity(account, key, by_secret=found.secret_mark is not None, session_id=found.id)

    def identify(self, token: str) -> Identity | None:
        """Return what `find` does, and note that the session was used, beside the request."""
        found = self.find(token)
        if found is None:
            return None
        record, identity = found
        if (now := time.time()) - record.last_used > LAST_USED_SECONDS or record.last_used > now:
            used = update(BrowserSession).where(col(BrowserSession.id) == record.id).values(last_used=now)
            self._database.beside.add(("session", record.id), lambda session: session.exec(used))
        return identity

    def session(self, session_id: str) -> BrowserSession:
        """Return a session, also one that has ended. Raises `NotFoundError`."""
        with self._database.read() as session:
            return _session(session, session_id)

    def all(
        self,
        account_id: str | None = None,
        limit: int | None = None,
        after: tuple[float, str] | None = None,
        *,
        not_of: str | None = None,
        of_any_secret: bool = False,
    ) -> list[BrowserSession]:
        """Return the sessions that count, those of one account or of all others than one, the newest first.

        `of_any_secret`: also those that would count if another secret were the studio's. `after` is `created` and
        `id` of the last one that the reader has.
        """
        query = (
            select(BrowserSession)
            .join(Account, col(Account.id) == col(BrowserSession.account_id))
            .outerjoin(ApiKey, col(ApiKey.prefix) == col(BrowserSession.key_prefix))
            .where(*_counting(time.time()), *([] if of_any_secret else self._fitting()))
            .order_by(col(BrowserSession.created).desc(), col(BrowserSession.id).desc())
            .limit(limit)
        )
        if account_id is not None:
            query = query.where(BrowserSession.account_id == account_id)
        if not_of is not None:
            query = query.where(BrowserSession.account_id != not_of)
        if after is not None:
            query = query.where(tuple_(col(BrowserSession.created), col(BrowserSession.id)) < after)
        with self._database.read() as session:
            return list(session.exec(query))

    def end(self, session_id: str) -> BrowserSession:
        """End a session at once. Raises `NotFoundError`."""
        with self._database.write() as session:
            session.exec(_ending(col(BrowserSession.id) == session_id))
            return _session(session, session_id)

    def end_all(self) -> Sequence[str]:
        """End every session, and return their ids."""
        with self._database.write() as session:
            ids = session.exec(select(BrowserSession.id).where(col(BrowserSession.ended).is_(None))).all()
            session.exec(_ending())
        return ids

    def close(self, token: str) -> BrowserSession | None:
        """End the session of a cookie, and return it if it had not ended yet."""
        is_its = col(BrowserSession.digest) == digest_of(token)
        with self._database.write() as session:
            found = session.exec(select(BrowserSession).where(is_its, col(BrowserSession.ended).is_(None))).first()
            session.exec(_ending(is_its))
        return found

    def _fitting(self) -> list[ColumnElement[bool]]:
        """The part of the conditions of `find` that is about the secret, in SQL."""
        mark = self._marks.current()
        marks = (col(BrowserSession.secret_mark), col(ApiKey.secret_mark))
        return [or_(column.is_(None), column == mark) for column in marks]


def _counting(now: float) -> list[ColumnElement[bool]]:
    """The other part, of sessions joined with their accounts and keys."""
    return [
        col(BrowserSession.ended).is_(None),
        col(BrowserSession.expires) >= now,
        col(Account.disabled).is_(False),
        col(ApiKey.revoked).is_(None),
        or_(col(ApiKey.expires).is_(None), col(ApiKey.expires) > now),
    ]


def end_sessions_of(session: Session, *, account_id: str | None = None, key_prefix: str | None = None) -> None:
    """End the sessions of an account, or those begun with a key, in a transaction."""
    if account_id is not None:
        session.exec(_ending(col(BrowserSession.account_id) == account_id))
    if key_prefix is not None:
        session.exec(_ending(col(BrowserSession.key_prefix) == key_prefix))


def mark_of_session(session: Session, session_id: str) -> str | None:
    """Return the mark of the secret that a session was begun with. Raises `NotFoundError` for one that has ended."""
    found = _session(session, session_id)
    if found.ended is not None:
        raise _no_session(session_id)
    return found.secret_mark


def _ending(*conditions: ColumnElement[bool]) -> Any:
    return update(BrowserSession).where(col(BrowserSession.ended).is_(None), *conditions).values(ended=time.time())


def _session(session: Session, session_id: str) -> BrowserSession:
    found = session.exec(select(BrowserSession).where(BrowserSession.id == session_id)).first()
    if found is None:
        raise _no_session(session_id)
    return found


def _no_session(session_id: str) -> NotFoundError:
    return NotFoundError(
        f"There is no session {session_id!r}.", field="session", remedy="Choose one of the list of sessions."
    )
