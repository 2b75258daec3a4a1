"""The table of the data sets."""

from __future__ import annotations

from collections.abc import Sequence

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

    def get(self, dataset_id: str) -> Dataset | None:
        with self._read() as session:
            return session.get(Dataset, dataset_id)

    def list(self) -> Sequence[Dataset]:
        """Newest first."""
        with self._read() as session:
            return session.exec(select(Dataset).order_by(col(Dataset.created).desc())).all()

    def remove(self, dataset_id: str) -> None:
        with self._write() as session:
            session.exec(delete(Dataset).where(col(Dataset.id) == dataset_id))
