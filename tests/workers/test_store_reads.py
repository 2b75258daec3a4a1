"""What a chart and its update read, counted in steps of SQLite's machine: no other load changes their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gift_core.spec import ExperimentSpec
from tests.workers.conftest import claim
from workers.database import Database
from workers.metrics import MetricLine
from workers.store import JobStore


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.in_file(tmp_path / "studio.sqlite3")
    yield database
    database.close()


def steps_of(database: Database, ask: Callable[[], object]) -> int:
    """How many instructions the reading took."""
    taken = 0

    def count() -> None:
        nonlocal taken
        taken += 1

    # The only connection of a store that one thread asks.
    with database.read() as session:
        driver = session.connection().connection.dbapi_connection
    driver.set_progress_handler(count, 1)
    ask()
    driver.set_progress_handler(None, 1)
    return taken


def log(store: JobStore, run: str, first: int, last: int) -> None:
    lines = [MetricLine(number=n, step=n, time=1.0, values={"loss": 1 / n}) for n in range(first, last + 1)]
    assert store.beat(run, store.job(run).owner or "", lines)


def test_an_update_of_a_chart_reads_what_is_new_and_nothing_of_what_was_or_of_other_runs(database):
    store = JobStore(database)
    experiment, _ = store.create_experiment(ExperimentSpec(), None)
    run, other = (each.id for each in store.runs(experiment.id))
    for each in (run, other):
        assert claim(store, each)
    log(store, run, 1, 20)

    def update() -> tuple[int, int]:
        """Steps for ten new points, and for none."""
        had = store.metrics([run], 0)
        log(store, run, len(had) + 1, len(had) + 10)
        some = steps_of(database, lambda: store.metrics([run], had[-1].cursor or 0))
        newest, _ = store.head()
        none = steps_of(database, lambda: store.metrics([run], newest))
        return some, none

    with_few = update()
    log(store, run, 31, 2000)
    log(store, other, 1, 2000)
    # A deeper tree may take a step more to come down.
    assert update() == pytest.approx(with_few, abs=5)
    assert 0 < with_few[1] < with_few[0]
    assert steps_of(database, lambda: store.metrics([run], 0)) > 50 * with_few[0]
