"""What the pages' questions to the store cost with 10,000 runs and 5 million metric points in it, and with ten runs.

    PYTHONPATH=. python benchmarks/store_scale.py --runs 1000 --points 500000 --postgresql

Eight runs at a time are under way while the points come in, as with eight devices, so that no run's points lie
together. SQLite is a file in the temporary directory. PostgreSQL is a server that is started with the settings of the
tests: without fsync, which writing alone would notice.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _common import print_table
from sqlalchemy import insert

from gift_core.spec import ExperimentSpec
from tests.services import PostgresService
from workers.counts import Counts
from workers.database import Database
from workers.experiments import new_experiment, new_runs
from workers.metrics import MetricLine
from workers.observations import JobFilter
from workers.records import Experiment, Job, JobState, MetricPoint
from workers.store import JobStore

FEW, PAGE = 10, 50
AT_ONCE = 8
ROUNDS = 30
# Of the runs, every so many failed, and every so many of these has the name that is looked for.
FAILED_EVERY, NAMED_EVERY = 20, 50
NAME = "GIFT, power 0.25"
OWNER = "benchmark/1"
_ROWS_AT_ONCE = 50_000


@dataclass
class Filled:
    """A store, the points of each of its runs, one of these that has finished, and one that is under way."""

    store: JobStore
    points_each: int
    finished: str
    running: str
    next_line: int

    def after(self, job_id: str, points: int) -> int:
        """The cursor that a chart has which lacks the last `points` of a run."""
        return self.store.metrics([job_id], after=0)[-1 - points].cursor or 0


def fill(database: Database, runs: int, points_each: int) -> Filled:
    """Runs of as many points each, the last of them under way."""
    jobs = list(_jobs(database, runs, points_each))
    points: list[dict[str, Any]] = []
    for first in range(0, runs, AT_ONCE):
        for line in range(1, points_each + 1):
            points += [_point(job.id, line) for job in jobs[first : first + AT_ONCE]]
        if len(points) >= _ROWS_AT_ONCE:
            _insert(database, MetricPoint, points)
            points = []
    _insert(database, MetricPoint, points)
    return Filled(JobStore(database), points_each, jobs[runs // 2].id, jobs[-1].id, points_each + 1)


def _jobs(database: Database, runs: int, points_each: int) -> Iterator[Job]:
    spec = ExperimentSpec()
    experiments, jobs = [], []
    for number in range(runs // len(new_runs(new_experiment(spec, "", 0), spec))):
        experiment = new_experiment(spec, "Sudoku", number + 1)
        experiment.created = 1e9 + number
        experiments.append(experiment)
        jobs += new_runs(experiment, spec)
    for number, job in enumerate(jobs):
        failed = number % FAILED_EVERY == 0
        job.state = JobState.FAILED if failed else JobState.FINISHED
        job.attempt, job.step = 1, 10 * points_each
        if failed and number // FAILED_EVERY % NAMED_EVERY == 0:
            job.label = NAME
    jobs[-1].state, jobs[-1].owner, jobs[-1].label = JobState.RUNNING, OWNER, "GIFT"
    _insert(database, Experiment, [experiment.model_dump() for experiment in experiments])
    _insert(database, Job, [job.model_dump() for job in jobs])
    return iter(jobs)


def _point(job_id: str, line: int) -> dict[str, Any]:
    values = {
        "loss": 4.0 / line,
        "learning_rate": 1e-4,
        "grad_norm": 1.0 + 1 / line,
        "tokens_per_second": 9000.0 + line,
    }
    return {"job_id": job_id, "attempt": 1, "line": line, "step": 10 * line, "time": 1e9 + line, "values": values}


def _insert(database: Database, table: type[Any], rows: list[dict[str, Any]]) -> None:
    if rows:
        with database.write() as session:
            session.connection().execute(insert(table), rows)


def questions(filled: Filled, *, named: int) -> Mapping[str, Callable[[], object]]:
    """What is measured; each checks that it got what a page would show."""
    store, points = filled.store, filled.points_each
    failed = JobFilter(states=frozenset({JobState.FAILED}), text="power 0.25")
    all_but_ten = filled.after(filled.finished, 10)
    newest, newest_change = store.head()
    two, ten = [filled.finished, filled.running], [job.id for job in store.jobs(limit=10)]
    last = store.jobs(limit=None)[-PAGE:][0]
    before_last = (last.created, last.position, last.id)

    def heartbeat() -> None:
        line = MetricLine(number=filled.next_line, step=10 * filled.next_line, time=1.0, phase="", values={"loss": 1.0})
        assert store.beat(filled.running, OWNER, [line])
        filled.next_line += 1

    shown = min(named, PAGE)
    return {
        "first page of the runs (10 rows, 50)": lambda: _expect(store.jobs(limit=PAGE), least=FEW),
        "last page of the runs (9 rows, 49)": lambda: _expect(store.jobs(limit=PAGE, after=before_last), least=FEW - 1),
        "failed runs": lambda: _expect(store.jobs(JobFilter(states=frozenset({JobState.FAILED})), limit=PAGE), least=1),
        "failed runs of a name": lambda: _expect(store.jobs(failed, limit=PAGE), shown, shown),
        "runs of a name": lambda: _expect(store.jobs(JobFilter(text=failed.text), limit=PAGE), shown, shown),
        "one run": lambda: store.job(filled.finished),
        "chart of one run": lambda: _expect(store.metrics([filled.finished], 0), points, points),
        "chart of two runs": lambda: _expect(store.metrics(two, 0), 2 * points, 2 * points),
        "80 new points of ten runs": lambda: _expect(store.metrics(ten, newest - 80), 80, 80),
        "the ten newest of one run": lambda: _expect(store.metrics([filled.finished], all_but_ten), 10, 10),
        "what is new of a run: nothing": lambda: _expect(store.metrics([filled.finished], newest), 0, 0),
        "is anything new at all": store.head,
        "what Prometheus asks": lambda: _scraped(Counts(store.database.read), newest_change),
        # It adds points, so it comes last.
        "a heartbeat with a point": heartbeat,
    }


def _scraped(counts: Counts, seen: int) -> None:
    assert counts.jobs()
    assert counts.newest_point()
    counts.longest_wait()
    counts.devices()
    counts.store_bytes()
    counts.ended_since(seen)


def _expect(found: list[Any], least: int, most: int = PAGE) -> None:
    assert least <= len(found) <= most, len(found)


def milliseconds(variants: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Wall time of each, taking turns, after one round that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(ROUNDS + 1):
        for name, ask in variants.items():
            began = time.perf_counter()
            ask()
            if turn:
                taken[name].append(1000 * (time.perf_counter() - began))
    return taken


def compare(title: str, many: int, points_each: int, databases: tuple[Database, Database]) -> None:
    print(f"\n{title}")
    began = time.perf_counter()
    small, large = (fill(database, runs, points_each) for database, runs in zip(databases, (FEW, many), strict=True))
    print(f"filled in {time.perf_counter() - began:.0f} s")
    # Else the rows that were just inserted are looked for garbage in the middle of an answer.
    gc.collect()
    gc.freeze()
    of_few = questions(small, named=1)
    of_many = questions(large, named=math.ceil(many / FAILED_EVERY / NAMED_EVERY))
    rows = []
    for name in of_few:
        taken = milliseconds({"few": of_few[name], "many": of_many[name]})
        few, lots = (statistics.median(taken[which]) for which in ("few", "many"))
        rows.append((name, f"{few:.2f}", f"{lots:.2f}", f"{max(taken['many']):.2f}", f"{lots / few:.1f}"))
    print_table(("", f"{FEW} runs, ms", f"{many:,} runs, ms", "longest", "ratio"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000, help="an even number")
    parser.add_argument("--points", type=int, default=5_000_000, help="metric points of all runs, at least 20 of each")
    parser.add_argument("--postgresql", action="store_true", help="measure PostgreSQL too")
    chosen = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}, {ROUNDS} rounds")
    points_each = chosen.points // chosen.runs
    print(f"{chosen.runs:,} runs with {points_each:,} metric points each, medians and the longest of the many")
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        files = [Database.in_file(Path(directory) / f"{name}.sqlite3") for name in ("few", "many")]
        few, many = (stack.enter_context(closing(file)) for file in files)
        compare("SQLite", chosen.runs, points_each, (few, many))
        print(f"{sum(file.stat().st_size for file in Path(directory).glob('many.*')) / 1e6:,.0f} MB")
    if chosen.postgresql:
        with closing(PostgresService()) as server, ExitStack() as stack:
            urls = [stack.enter_context(server.new_database()) for _ in range(2)]
            few, many = (stack.enter_context(closing(Database(url))) for url in urls)
            compare("PostgreSQL", chosen.runs, points_each, (few, many))
            with many.read() as session:
                size = session.connection().exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()
            print(f"{size / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
