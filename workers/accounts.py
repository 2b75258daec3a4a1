"""Accounts and their API keys."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from sqlalchemy import delete, tuple_, update
from sqlmodel import Session, col, select

from workers.access.identity import Identity, is_valid
from workers.access.secret_marks import SecretMarks
from workers.access.sessions import LAST_USED_SECONDS, SessionStore, end_sessions_of, mark_of_session
from workers.account_records import Account, ApiKey, Ownership, Role, Scope, Source
from workers.database import Database
from workers.secret_texts import NewKey, digest_of, new_key, prefix_of, same
from workers.store import ConflictError, NotFoundError

# Who works on the studio's own machine, with nobody to be told apart from.
LOCAL_ACCOUNT = "local"


class AccountStore:
    """Who there is. Records come back detached; times are seconds since the epoch.

    `secret` is the studio's password; what was begun with another one counts no more.
    """

    def __init__(self, database: Database, secret: str | None = None) -> None:
        self._read = database.read
        self._write = database.write
        self._beside = database.beside
        self._marks = SecretMarks(database, secret)
        self.sessions = SessionStore(database, self._marks)

    def ensure(self, source: Source, subject: str, name: str, role: Role) -> Account:
        """The account of this subject of a source, made where there is none; a new name replaces the old one.

        A person who signs in with the Hub gets `role` each time, unless an admin has given the account another.
        """
        identity = LOCAL_ACCOUNT if source is Source.LOCAL else f"{source}:{subject}"
        with self._write() as session:
            account = session.get(Account, identity)
            if account is None:
                account = Account(id=identity, name=name, source=source, role=role)
            account.name = name
            if source is Source.HUB and not account.role_is_set:
                if not role.reaches(Role(account.role)):
                    end_sessions_of(session, account_id=identity)
                account.role = role
            session.add(account)
        return account

    def account(self, account_id: str) -> Account:
        """Raises `NotFoundError`."""
        with self._read() as session:
            return _account(session, account_id)

    def is_admin(self, account_id: str) -> bool:
        """Return whether an account is an admin's; False for an unknown one."""
        with self._read() as session:
            known = session.get(Account, account_id)
        return account_id == LOCAL_ACCOUNT or (known is not None and known.role == Role.ADMIN)

    def accounts(self, limit: int | None = None, after: tuple[float, str] | None = None) -> list[Account]:
        """The newest first; `after` is `created` and `id` of the last one that the reader has."""
        query = select(Account).order_by(col(Account.created).desc(), col(Account.id).desc()).limit(limit)
        if after is not None:
            query = query.where(tuple_(col(Account.created), col(Account.id)) < after)
        with self._read() as session:
            return list(session.exec(query))

    def change(self, account_id: str, changes: dict[str, Any]) -> Account:
        """Change role, quotas, or whether it is disabled. Raises `NotFoundError`.

        Its browser sessions end when it is disabled or may do less than before.
        """
        with self._write() as session:
            account = _account(session, account_id)
            before = Role(account.role)
            account.sqlmodel_update(changes | ({"role_is_set": True} if "role" in changes else {}))
            session.add(account)
            if account.disabled or not Role(account.role).reaches(before):
                end_sessions_of(session, account_id=account_id)
        return account

    # Keys

    def create_key(
        self,
        account_id: str,
        name: str,
        scopes: Collection[Scope],
        expires: float | None,
        in_session: str | None = None,
    ) -> tuple[ApiKey, NewKey]:
        """Return a new key and, this once, its text.

        One that is made `in_session`, the id of a browser session that was begun with the studio's secret, ends with
        that secret. Raises `NotFoundError` if there is no such account, or the session has ended.
        """
        made = new_key()
        with self._write() as session:
            _account(session, account_id)
            mark = mark_of_session(session, in_session) if in_session is not None else None
            key = ApiKey(
                prefix=made.prefix,
                account_id=account_id,
                name=name,
                digest=digest_of(made.text),
                scopes=[scope.value for scope in Scope if scope in scopes],
                expires=expires,
                secret_mark=mark,
            )
            session.add(key)
        return key, made

    def api_keys(
        self, account_id: str | None = None, limit: int | None = None, after: tuple[float, str] | None = None
    ) -> list[ApiKey]:
        """All, or one account's, the newest first; `after` is `created` and `prefix` of the last one that was had."""
        query = select(ApiKey).order_by(col(ApiKey.created).desc(), col(ApiKey.prefix).desc()).limit(limit)
        if after is not None:
            query = query.where(tuple_(col(ApiKey.created), col(ApiKey.prefix)) < after)
        if account_id is not None:
            query = query.where(ApiKey.account_id == account_id)
        with self._read() as session:
            return list(session.exec(query))

    def key(self, prefix: str) -> ApiKey:
        """Raises `NotFoundError`."""
        with self._read() as session:
            return _key(session, prefix)

    def revoke(self, prefix: str) -> ApiKey:
        """End a key and every session that was begun with it. Raises `NotFoundError`."""
        with self._write() as session:
            key = _key(session, prefix)
            key.revoked = key.revoked or time.time()
            session.add(key)
            end_sessions_of(session, key_prefix=prefix)
        return key

    def identify_key(self, text: str) -> Identity | None:
        """Return whose key this is, and note that it was used; None when there is no such key, or it has ended."""
        identity = self.find_key(text)
        if identity is not None and identity.key is not None:
            self._note_use(identity.key)
        return identity

    def find_key(self, text: str) -> Identity | None:
        """Return whose key this is, without a note."""
        prefix = prefix_of(text)
        if prefix is None:
            return None
        with self._read() as session:
            key = session.get(ApiKey, prefix)
            account = session.get(Account, key.account_id) if key else None
        if key is None or account is None or not same(key.digest, digest_of(text)):
            return None
        return Identity(account, key) if is_valid(account, key) and self.has_its_secret(key) else None

    def has_its_secret(self, key: ApiKey) -> bool:
        """Whether the secret of the session that made a key is still the studio's; true of keys made otherwise."""
        return self._marks.fits(key.secret_mark)

    def _note_use(self, key: ApiKey) -> None:
        now = time.time()
        if key.last_used is None or abs(now - key.last_used) > LAST_USED_SECONDS:
            used = update(ApiKey).where(col(ApiKey.prefix) == key.prefix).values(last_used=now)
            self._beside.add(("key", key.prefix), lambda session: session.exec(used))

    # Who made what

    def claim(self, thing: str, account_id: str) -> None:
        """Note who asked for a thing; whoever asked first keeps it."""
        with self._write() as session:
            if session.get(Ownership, thing) is None:
                session.add(Ownership(thing=thing, account_id=account_id))

    def disclaim(self, thing: str) -> None:
        """Forget whose a thing was that is gone: whoever makes the same again owns it."""
        with self._write() as session:
            session.connection().execute(delete(Ownership).where(col(Ownership.thing) == thing))

    def owner(self, thing: str) -> str | None:
        with self._read() as session:
            found = session.get(Ownership, thing)
        return found.account_id if found else None

    def owned(self, kind: str, account_id: str) -> set[str]:
        """The ids of an account's things of a kind."""
        query = select(Ownership.thing).where(
            Ownership.account_id == account_id, col(Ownership.thing).startswith(f"{kind}/")
        )
        with self._read() as session:
            return {thing.removeprefix(f"{kind}/") for thing in session.exec(query)}


def named_account(store: AccountStore, name: str, role: Role | None) -> Account:
    """The account of a program or person without another way in, by name; made with `role` where there is none.

    Raises `ConflictError` when there is one with another role.
    """
    account = store.ensure(Source.KEY, name, name, role or Role.OWNER)
    if role is not None and account.role != role:
        raise ConflictError(
            f"There is an account {name!r} already, and its role is {account.role}.",
            field="role",
            remedy="Leave the role out, or choose another name.",
        )
    return account


def _account(session: Session, account_id: str) -> Account:
    account = session.get(Account, account_id)
    if account is None:
        raise NotFoundError(
            f"There is no account {account_id!r}.", field="account", remedy="Choose one of the list of accounts."
        )
    return account


def _key(session: Session, prefix: str) -> ApiKey:
    key = session.get(ApiKey, prefix)
    if key is None:
        raise NotFoundError(f"There is no key {prefix!r}.", field="key", remedy="Choose one of the list of keys.")
    return key
