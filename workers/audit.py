"""The audit log: what was done or refused, when, by which account and from where. Entries are added and never changed.

What was done stays. Refusals of one account, address and action are counted in one entry an hour, and the oldest of
these go when there are very many, so the log cannot grow without end.
"""

from __future__ import annotations

import hashlib
import logging

from sqlmodel import Session, col, delete, select

from workers.account_records import AuditEntry
from workers.database import Database, StoreUnavailable

_log = logging.getLogger(__name__)

REFUSED = "refused"
MOST_REFUSALS = 10_000
_HOUR = 3600
# How long a request waits for its entry while others write to the store.
_DONE_PATIENCE_SECONDS = 1.0
_REFUSED_PATIENCE_SECONDS = 0.05


class AuditLog:
    """Entries in the order in which they were written."""

    def __init__(self, database: Database, most_refusals: int = MOST_REFUSALS) -> None:
        self._database = database
        self._most_refusals = most_refusals

    def add(self, entry: AuditEntry) -> None:
        """Write an entry; while the store is not free, it is kept and written when it is."""
        is_refusal = _is_refusal(entry)
        given = entry.model_dump()

        def write(session: Session) -> None:
            new = AuditEntry(**given)
            if is_refusal:
                self._count(session, new)
            else:
                session.add(new)

        try:
            with self._database.write(_REFUSED_PATIENCE_SECONDS if is_refusal else _DONE_PATIENCE_SECONDS) as session:
                write(session)
        except StoreUnavailable:
            # A name of its own: none takes the place of another.
            kept = self._database.beside.add(object(), write)
            _log.log(
                logging.INFO if kept else logging.ERROR,
                "An entry of the audit log %s: %s",
                "is written when the store is free" if kept else "is lost",
                given,
            )

    def page(self, limit: int, before: int | None = None, account_id: str | None = None) -> list[AuditEntry]:
        """The newest first; `before` is the id of the last one that the reader has."""
        query = select(AuditEntry).order_by(col(AuditEntry.id).desc()).limit(limit)
        if before is not None:
            query = query.where(col(AuditEntry.id) < before)
        if account_id is not None:
            query = query.where(AuditEntry.account_id == account_id)
        with self._database.read() as session:
            return list(session.exec(query))

    def _count(self, session: Session, entry: AuditEntry) -> None:
        entry.refusal = _kind_of_refusal(entry)
        known = session.exec(select(AuditEntry).where(AuditEntry.refusal == entry.refusal)).first()
        if known is not None:
            known.count += 1
            known.last = entry.time
            session.add(known)
            return
        session.add(entry)
        session.flush()
        refusals = col(AuditEntry.refusal).is_not(None)
        ids = select(AuditEntry.id).where(refusals).order_by(col(AuditEntry.id).desc())
        last_to_go = session.exec(ids.offset(self._most_refusals).limit(1)).first()
        if last_to_go is not None:
            session.exec(delete(AuditEntry).where(refusals, col(AuditEntry.id) <= last_to_go))


def _is_refusal(entry: AuditEntry) -> bool:
    return entry.outcome == REFUSED or (entry.outcome.isdecimal() and 400 <= int(entry.outcome) < 500)


def _kind_of_refusal(entry: AuditEntry) -> str:
    parts = (entry.account_id, entry.action, entry.outcome, entry.address, str(int(entry.time // _HOUR)))
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
