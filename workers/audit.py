"""The audit log: what was done or refused, when, by whom and from where. There is a way to add and none to change."""

from __future__ import annotations

from sqlmodel import col, select

from workers.account_records import AuditEntry
from workers.database import Database


class AuditLog:
    """Entries in the order in which they were written."""

    def __init__(self, database: Database) -> None:
        self._read = database.read
        self._write = database.write

    def add(self, entry: AuditEntry) -> None:
        with self._write() as session:
            session.add(entry)

    def page(self, limit: int, before: int | None = None, account_id: str | None = None) -> list[AuditEntry]:
        """The newest first; `before` is the id of the last one that the reader has."""
        query = select(AuditEntry).order_by(col(AuditEntry.id).desc()).limit(limit)
        if before is not None:
            query = query.where(col(AuditEntry.id) < before)
        if account_id is not None:
            query = query.where(AuditEntry.account_id == account_id)
        with self._read() as session:
            return list(session.exec(query))
