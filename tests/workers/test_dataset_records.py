"""The table of the data sets, also one that an older version left behind."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from workers.database import Database
from workers.dataset_records import DatasetRecords
from workers.records import Dataset

# A studio from before there were versions of the schema.
OLD = Path(__file__).parents[1] / "data" / "studio_before_versions.sql"


def test_data_sets_of_an_older_version_are_still_there(tmp_path: Path) -> None:
    path = tmp_path / "studio.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.executescript(OLD.read_text())
        connection.execute("DELETE FROM dataset")
        connection.execute("INSERT INTO dataset VALUES ('ds_old', 'old.csv', '.csv', 3, 1, 1.0)")
    connection.close()
    database = Database.in_file(path)
    records = DatasetRecords(database)
    old = records.get("ds_old")
    assert old
    assert (old.name, old.summary, old.fingerprint) == ("old.csv", None, "")
    records.add(Dataset(id="ds_new", name="new.csv", suffix=".csv", bytes=3, rows=1, summary={"rows": 1}))
    assert [dataset.id for dataset in records.list()] == ["ds_new", "ds_old"]
    records.remove("ds_old")
    assert [dataset.id for dataset in records.list()] == ["ds_new"]
    database.close()


def test_a_data_set_is_stored_once(tmp_path: Path) -> None:
    database = Database.in_file(tmp_path / "studio.sqlite3")
    records = DatasetRecords(database)
    for name in ("first.csv", "second.csv"):
        stored = records.add(Dataset(id="ds_1", name=name, suffix=".csv", bytes=3, rows=1))
        assert stored.name == "first.csv"
    assert len(records.list()) == 1
    database.close()
