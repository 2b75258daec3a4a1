"""Marks on what was begun with the studio's secret, so that it ends when the secret is another one."""

from __future__ import annotations

import hashlib
import secrets

from workers.database import Database
from workers.records import Switch
from workers.secret_texts import same

_SALT = "secret_salt"
_SALT_BYTES = 16


class SecretMarks:
    """Makes and compares marks. A mark is a digest of the secret with a salt that the store keeps.

    People choose the secret, so the digest is slow to compute (scrypt): whoever reads a copy of the database cannot try
    out many.
    """

    def __init__(self, database: Database, secret: str | None) -> None:
        self._database = database
        self._secret = secret
        self._mark: str | None = None

    def current(self) -> str | None:
        """Return the mark of today's secret; None without a secret, or if nothing was ever begun with one."""
        if self._mark is None and self._secret is not None:
            with self._database.read() as session:
                salt = session.get(Switch, _SALT)
            if salt is not None:
                self._mark = _digest(self._secret, salt.value)
        return self._mark

    def make(self) -> str:
        """Return the mark of today's secret, which there has to be."""
        if self._secret is None:
            raise ValueError("there is no secret to begin anything with")
        if (mark := self.current()) is not None:
            return mark
        with self._database.write() as session:
            # Another process may have been faster.
            if session.get(Switch, _SALT) is None:
                session.add(Switch(name=_SALT, value=secrets.token_hex(_SALT_BYTES)))
        return self.make()

    def fits(self, mark: str | None) -> bool:
        """Whether something with this mark still counts. What has none was not begun with a secret."""
        if mark is None:
            return True
        current = self.current()
        return current is not None and same(mark, current)


def _digest(secret: str, salt: str) -> str:
    return hashlib.scrypt(secret.encode(), salt=bytes.fromhex(salt), n=2**14, r=8, p=1, dklen=32).hex()
