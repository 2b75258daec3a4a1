"""The table of the data sets."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import tuple_
from sqlmodel import col, delete, select

from workers.database import Database
from workers.records import Dataset


class DatasetRecords:
    """What is known of each data set. Records come back detached."""

    def __init__(self, database: Database) -> None:
        self._read = database.read
        self._write = database.write

    def add(self, dataset: Dataset) -> Dataset:
        """Store a data set, or return the one that has its id already."""
        with self._write() as session:
            existing = session.get(Dataset, dataset.id)
            if existing is None:
                session.add(dataset)
            return existing or dataset

    def update(self, dataset: Dataset) -> Dataset:
        """Replace what is known of the rows of a data set that is stored; its name and time stay as they are."""
        with self._write() as session:
            stored = session.get_one(Dataset, dataset.id)
            stored.rows, stored.summary, stored.fingerprint = dataset.rows, dataset.summary, dataset.fingerprint
            session.add(stored)
            return stored

    def get(self, dataset_id: str) -> Dataset | None:
        with self._read() as session:
            return session.get(Dataset, dataset_id)

    def page(self, limit: int, after: tuple[float, str] | None = None, text: str | None = None) -> Sequence[Dataset]:
        """Newest first; `after` is `created` and `id` of the last one that the reader has, `text` is in the name."""
        key = tuple_(col(Dataset.created), col(Dataset.id))
        query = select(Dataset).order_by(col(Dataset.created).desc(), col(Dataset.id).desc()).limit(limit)
        if after is not None:
            query = query.where(key < after)
        if text:
            query = query.where(col(Dataset.name).icontains(text, autoescape=True))
        with self._read() as session:
            return session.exec(query).all()

    def list(self) -> Sequence[Dataset]:
        """Newest first."""
        with self._read() as session:
            return session.exec(select(Dataset).order_by(col(Dataset.created).desc())).all()

    def remove(self, dataset_id: str) -> None:
        with self._write() as session:
            session.exec(delete(Dataset).where(col(Dataset.id) == dataset_id))
