"""Schemas on both databases: the versions lead to what `workers.records` says, and no row is lost on the way."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, MetaData, create_engine, inspect, make_url, text
from sqlmodel import SQLModel

from gift_core.spec import ExperimentSpec, RunSpec
from tests.services import PASSWORD, PostgresService
from workers import records
from workers.connections import engines
from workers.connections.errors import StoreBusy, StoreFull
from workers.database import Database, StoreUnavailable
from workers.keys import Claim, Keys
from workers.lifecycle.actions import JobAction, actions_of
from workers.locations import LocationError
from workers.migrations import _config
from workers.settings import ConfigurationError
from workers.store import JobStore

BEFORE_VERSIONS = Path(__file__).parents[1] / "data" / "studio_before_versions.sql"
# What the tables and columns of runs are called today.
RUN, RUN_ID = "job", "job_id"


@contextmanager
def connected(url: str) -> Any:
    driver = make_url(url)
    if driver.get_backend_name() == "postgresql":
        driver = driver.set(drivername="postgresql+psycopg")
    engine: Engine = create_engine(driver)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def copy_rows(source: Connection, target: Connection) -> None:
    tables = MetaData()
    tables.reflect(source)
    there = MetaData()
    there.reflect(target, only=list(tables.tables))
    for table in there.sorted_tables:
        rows = [dict(row) for row in source.execute(tables.tables[table.name].select()).mappings()]
        target.execute(table.insert(), rows)


@pytest.fixture
def old_studio(tmp_path: Path) -> str:
    """The SQLite database of a studio from before schemas had versions: two experiments, in every stage."""
    path = tmp_path / "old.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(BEFORE_VERSIONS.read_text("utf-8"))
    return f"sqlite:///{path}"


def test_a_new_database_is_what_the_records_say(database_url: str) -> None:
    Database(database_url).close()
    with connected(database_url) as connection:
        assert compare_metadata(_context(connection), SQLModel.metadata) == []


def test_all_versions_one_after_the_other_give_the_same(database_url: str) -> None:
    with connected(database_url) as connection:
        command.upgrade(_config(connection), "head")
        assert compare_metadata(_context(connection), SQLModel.metadata) == []


def _context(connection: Connection) -> MigrationContext:
    return MigrationContext.configure(connection, opts={"compare_type": True})


def test_an_older_studio_comes_through_with_every_row(old_studio: str) -> None:
    with connected(old_studio) as connection:
        before = observed(connection, "run", "run_id")
    database = Database(old_studio)
    with database.read() as session:
        assert session.scalar(text("PRAGMA foreign_keys")) == 1
    database.close()
    with connected(old_studio) as connection:
        assert observed(connection, RUN, RUN_ID) == before
        assert compare_metadata(_context(connection), SQLModel.metadata) == []
    Database(old_studio).close()
    with connected(old_studio) as connection:
        assert observed(connection, RUN, RUN_ID) == before


def test_it_does_so_on_postgresql_too_where_numbers_go_on_after_it(old_studio: str, postgres_url: str) -> None:
    with connected(old_studio) as source, connected(postgres_url) as target:
        command.upgrade(_config(target), "0001")
        copy_rows(source, target)
        before = observed(target, "run", "run_id")
    Database(postgres_url).close()
    with connected(postgres_url) as connection:
        assert observed(connection, RUN, RUN_ID) == before
        assert compare_metadata(_context(connection), SQLModel.metadata) == []


def observed(connection: Connection, run: str, run_id: str) -> dict[str, list[str]]:
    """Every row of every table, in the columns that all versions have."""
    queries = {
        "experiments": "SELECT id, name, created, spec FROM experiment",
        "runs": "SELECT id, experiment_id, label, position, spec, state, phase, created, started, ended, step,"
        f" total_steps, eta_seconds, result, failure, owner FROM {run}",
        "points": f'SELECT cursor, {run_id}, line, step, time, "values" FROM metric_point',
        "transitions": f'SELECT id, {run_id}, time, "before", "after", owner, cause FROM transition',
        "datasets": "SELECT id, name, suffix, bytes, rows, created FROM dataset",
    }
    found = {name: sorted(map(_plain, connection.execute(text(query)))) for name, query in queries.items()}
    assert {name: len(rows) for name, rows in found.items()} == {
        "experiments": 2,
        "runs": 4,
        "points": 5,
        "transitions": 10,
        "datasets": 1,
    }
    return found


def _plain(row: Sequence[Any]) -> str:
    # Nothing, and JSON's nothing, are the same to whoever reads the record.
    return repr([None if value == "null" else value for value in row])


def test_what_an_older_studio_had_stopped_can_be_resumed(old_studio: str) -> None:
    store = JobStore(Database(old_studio))
    known = {job.state: (job.saved_step, JobAction.RESUME in actions_of(job)) for job in store.jobs()}
    store.close()
    assert known["failed"] == (10, True)
    assert known["finished"] == known["queued"] == (None, False)


def test_specs_of_an_older_studio_are_still_valid(old_studio: str) -> None:
    Database(old_studio).close()
    with closing(sqlite3.connect(make_url(old_studio).database or "")) as connection:
        for (spec,) in connection.execute("SELECT spec FROM experiment"):
            ExperimentSpec.model_validate_json(spec)
        for (spec,) in connection.execute(f"SELECT spec FROM {RUN}"):
            RunSpec.model_validate_json(spec)


def test_a_request_that_is_repeated_after_an_update_finds_what_it_has_made(database_url: str) -> None:
    with connected(database_url) as connection:
        command.upgrade(_config(connection), "0005")
        old = MetaData()
        old.reflect(connection)
        asked = {"name": "", "created": 1.0, "spec": {}, "request_fingerprint": "", "created_by": "local"}
        row = asked | {"id": "exp_1", "idempotency_key": "launched", "stop_on_failure": False}
        connection.execute(old.tables["experiment"].insert(), row)
        job = records.Job(
            id="push_1", kind="push", label="", spec={"run": "r"}, created=1.0, created_by="local"
        ).model_dump()
        for number, key in enumerate(("uploaded", "launched", None), 1):
            connection.execute(old.tables["job"].insert(), job | {"id": f"push_{number}", "idempotency_key": key})
    with closing(Database(database_url)) as database:
        keys = Keys(database)
        made = {key: keys.made(Claim(f"local:{key}", "asked")) for key in ("launched", "uploaded", "new")}
        whose = {job.spec["own_token"] for job in JobStore(database).jobs_with({"push_1", "push_2", "push_3"})}
    assert made == {"launched": "exp_1", "uploaded": "push_1", "new": None}
    assert whose == {True}, "nobody gets the studio's token for what may have come with one of its own"
    with connected(database_url) as connection:
        assert compare_metadata(_context(connection), SQLModel.metadata) == []


def test_a_number_is_given_once_also_when_its_row_is_removed(database_url: str, old_studio: str) -> None:
    for url in (database_url, old_studio):
        store = JobStore(Database(url))
        experiment, _ = store.create_experiment(ExperimentSpec(), None)
        newest = 0
        for run in store.runs(experiment.id):
            store.request_stop(run.id, "user")
            newest = store.transitions(after=newest)[-1].id or 0
            store.remove(run.id)
        other, _ = store.create_experiment(ExperimentSpec(), None)
        # An open page asks for what is newer than the last that it has.
        changed = {change.job_id for change in store.transitions(after=newest)}
        assert changed == {run.id for run in store.runs(other.id)}
        store.close()


def test_a_database_that_has_only_a_queue_becomes_a_studio_s(tmp_path: Path) -> None:
    path = tmp_path / "shared.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        # As huey names its tables in PostgreSQL.
        connection.executescript("CREATE TABLE huey_task (id INTEGER); CREATE TABLE huey_kv (key TEXT)")
    store = JobStore(Database.in_file(path))
    assert store.experiments() == []
    store.close()


def test_many_may_open_a_new_database_at_once(database_url: str) -> None:
    with ThreadPoolExecutor(6) as threads:
        opened = list(threads.map(Database, [database_url] * 6))
    for database in opened:
        database.close()
    with connected(database_url) as connection:
        assert set(SQLModel.metadata.tables) <= set(inspect(connection).get_table_names())


def test_one_transaction_writes_at_a_time(database_url: str) -> None:
    """Else a reader that asks for what is newer than the last number it has could miss one that is committed later."""
    database = Database(database_url)

    def write(number: int) -> None:
        with database.write() as session:
            session.add(records.Dataset(id=f"ds_{number}", name="", suffix="", bytes=0, rows=_datasets(session)))
            session.flush()

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(write, range(24)))
    with database.read() as session:
        assert sorted(session.scalars(text("SELECT rows FROM dataset"))) == list(range(24))
    database.close()


def _datasets(session: Any) -> int:
    return session.scalar(text("SELECT count(*) FROM dataset"))


def test_an_error_undoes_the_whole_transaction(database_url: str) -> None:
    database = Database(database_url)
    dataset = records.Dataset(id="ds_1", name="", suffix="", bytes=0, rows=0)

    def fail() -> None:
        with database.write() as session:
            session.add(dataset)
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.read() as session:
        assert _datasets(session) == 0
    database.close()


def test_an_older_database_that_contradicts_itself_is_left_as_it_is(old_studio: str) -> None:
    path = make_url(old_studio).database or ""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM experiment")
        before = list(connection.iterdump())
    with pytest.raises(ConfigurationError, match="left as it was"):
        Database(old_studio)
    with closing(sqlite3.connect(path)) as connection:
        assert list(connection.iterdump()) == before


def test_a_killed_server_is_said_and_loses_nothing(postgres_server: PostgresService) -> None:
    with postgres_server.new_database() as url, closing(Database(url)) as database:
        with database.write() as session:
            session.add(records.Dataset(id="ds_1", name="", suffix="", bytes=0, rows=0))
        postgres_server.kill()
        for use in (database.ping, lambda: Database(url)):
            with pytest.raises(StoreUnavailable) as away:
                use()
            assert away.value.problems[0].remedy
            assert PASSWORD not in str(away.value)
        postgres_server.start()
        database.ping()
        with database.read() as session:
            assert _datasets(session) == 1


def test_a_server_that_goes_away_in_a_transaction_undoes_it(postgres_server: PostgresService) -> None:
    with postgres_server.new_database() as url, closing(Database(url)) as database:
        with pytest.raises(StoreUnavailable):
            _write_while_it_dies(database, postgres_server)
        postgres_server.start()
        with database.read() as session:
            assert _datasets(session) == 0


def _write_while_it_dies(database: Database, server: PostgresService) -> None:
    with database.write() as session:
        session.add(records.Dataset(id="ds_1", name="", suffix="", bytes=0, rows=0))
        session.flush()
        server.kill()


def test_a_reader_writes_nothing_and_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    with closing(Database.in_file(tmp_path / "studio.sqlite3")) as database, database.write() as writing:
        writing.add(records.Dataset(id="ds_1", name="", suffix="", bytes=0, rows=0))
        writing.flush()
        with database.read() as session:
            assert _datasets(session) == 0
        with pytest.raises(StoreUnavailable, match="readonly"), database.read() as session:
            session.execute(text("DELETE FROM dataset"))


def test_whoever_may_not_wait_to_write_is_told_at_once(database_url: str) -> None:
    with closing(Database(database_url)) as first, closing(Database(database_url)) as second:
        with first.write() as session:
            session.add(records.Dataset(id="ds_1", name="", suffix="", bytes=0, rows=0))
            session.flush()
            # Another thread of the same process, and another process.
            for database in (first, second):
                with ThreadPoolExecutor(1) as thread, pytest.raises(StoreBusy) as busy:
                    thread.submit(_add_dataset, database, "ds_2").result()
                assert busy.value.headers["Retry-After"]
        _add_dataset(second, "ds_2")
        with first.read() as session:
            assert _datasets(session) == 2


def _add_dataset(database: Database, identity: str) -> None:
    with database.write(patience=0.0) as session:
        session.add(records.Dataset(id=identity, name="", suffix="", bytes=0, rows=0))


def test_writes_beside_requests_are_done_when_the_database_is_free(database_url: str) -> None:
    with closing(Database(database_url)) as database, database.write() as session:
        session.add(records.Dataset(id="ds_1", name="", suffix="", bytes=0, rows=0))
        session.flush()
        dataset = records.Dataset(id="ds_2", name="", suffix="", bytes=0, rows=0)
        assert database.beside.add("one", lambda session: session.merge(dataset))
        assert database.beside.add("one", lambda session: session.merge(dataset))
        with ThreadPoolExecutor(1) as thread:
            assert not thread.submit(database.beside.flush).result(), "it is kept"
    with closing(Database(database_url)) as database, database.read() as session:
        assert _datasets(session) == 2, "closing has written it"


def test_more_readers_than_connections_are_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engines._READERS, "pool_timeout", 0.1)
    with closing(Database.in_file(tmp_path / "studio.sqlite3")) as database, ExitStack() as stack:
        most = engines._READERS["pool_size"] + engines._READERS["max_overflow"]
        for _ in range(int(most)):
            stack.enter_context(database.read()).connection()
        with pytest.raises(StoreBusy, match="Too many requests") as busy:
            database.ping()
        assert busy.value.headers["Retry-After"]


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    with closing(Database.in_file(tmp_path / "studio.sqlite3")) as database:
        with pytest.raises(StoreFull) as full:
            _fill(database)
        assert full.value.code == "disk_full"
        with database.read() as session:
            assert _datasets(session) == 0


def _fill(database: Database) -> None:
    with database.write() as session:
        session.execute(text(f"PRAGMA max_page_count={session.scalar(text('PRAGMA page_count'))}"))
        session.add(records.Dataset(id="ds_1", name="x" * 100_000, suffix="", bytes=0, rows=0))
        session.flush()


def test_a_file_that_is_damaged_while_it_is_used_is_said(tmp_path: Path) -> None:
    path = tmp_path / "studio.sqlite3"
    with closing(Database.in_file(path)) as database:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("r+b") as file:
            # Behind the first page, which says what the file is.
            file.seek(4096)
            file.write(b"noise" * (path.stat().st_size // 5))
        with pytest.raises(StoreUnavailable) as damaged, database.read() as session:
            _datasets(session)
        assert damaged.value.problems[0].remedy


def test_a_database_that_is_not_known_is_refused() -> None:
    with pytest.raises(LocationError) as refused:
        Database(f"mysql://studio:{PASSWORD}@db/studio")
    assert PASSWORD not in str(refused.value)
