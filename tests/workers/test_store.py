"""The run store keeps its promises with several writers, and refuses what must not happen."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE

import pytest

from gift_core.spec import ExperimentSpec
from workers.database import Database
from workers.metrics import MetricLine
from workers.records import TRANSITIONS, Dataset, Run, RunState
from workers.store import ConflictError, IllegalTransitionError, NotFoundError, RunStore, _move

SPEC = ExperimentSpec()
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(database_url: str) -> Iterator[RunStore]:
    opened = RunStore(Database(database_url))
    yield opened
    opened.close()


def line(number: int, **values: float) -> MetricLine:
    return MetricLine(number=number, step=number * 10, time=1.0, phase="training", total_steps=160, values=values)


def test_a_double_click_creates_one_experiment(store: RunStore) -> None:
    together = threading.Barrier(8)

    def create(_: int) -> tuple[str, bool]:
        together.wait()
        experiment, created = store.create_experiment(SPEC, "one-click")
        return experiment.id, created

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(create, range(8)))
    assert len({identifier for identifier, _ in answers}) == 1
    assert sorted(created for _, created in answers) == [False] * 7 + [True]
    assert len(store.experiments()) == 1
    assert [run.label for run in store.runs()] == ["SFT", "GIFT"]


def test_processes_that_open_a_new_store_at_once_share_it(tmp_path: Path) -> None:
    path = tmp_path / "studio.sqlite3"
    program = (
        "import sys; from pathlib import Path; from workers.store import RunStore;"
        "from workers.database import Database;"
        "from gift_core.spec import ExperimentSpec;"
        "print('ready', flush=True); sys.stdin.read(); store = RunStore(Database.in_file(Path(sys.argv[1])));"
        "[store.create_experiment(ExperimentSpec(), f'key {i}') for i in range(5)]"
    )
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen([sys.executable, "-c", program, str(path)], cwd=ROOT, stdin=PIPE, stdout=PIPE)
            )
            for _ in range(3)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    store = RunStore(Database.in_file(path))
    assert len(store.experiments()) == 5
    assert len(store.runs()) == 10
    store.close()


def test_a_key_used_for_another_experiment_is_a_conflict(store: RunStore) -> None:
    store.create_experiment(SPEC, "key")
    with pytest.raises(ConflictError, match="already used") as caught:
        store.create_experiment(ExperimentSpec(seeds=(2,)), "key")
    assert caught.value.code == "conflict"
    assert len(store.runs()) == 2


def test_without_a_key_every_launch_is_an_experiment(store: RunStore) -> None:
    first, _ = store.create_experiment(SPEC, None)
    second, created = store.create_experiment(SPEC, None)
    assert created
    assert first.id != second.id
    assert re.fullmatch(r"exp_[a-z0-9]{12}", first.id)


def test_names_are_made_up_when_left_out(store: RunStore) -> None:
    store.add_dataset(Dataset(id="ds_1", name="mine.jsonl", suffix=".jsonl", bytes=1, rows=1))
    of_file = SPEC.model_dump() | {"run": {"data": {"source": {"kind": "file", "dataset": "ds_1"}}}}
    assert re.match(r"Sudoku 4x4 · SFT \+ GIFT · \d+ \w+ \d\d:\d\d", store.create_experiment(SPEC, None)[0].name)
    assert store.create_experiment(ExperimentSpec.parse(of_file), None)[0].name.startswith("mine.jsonl · SFT")
    assert store.create_experiment(ExperimentSpec(name="Mine"), None)[0].name == "Mine"


def test_experiments_are_listed_newest_first_and_in_pages(store: RunStore) -> None:
    ids = [store.create_experiment(SPEC, None)[0].id for _ in range(3)][::-1]
    page = store.experiments(limit=2)
    rest = store.experiments(limit=2, before=page[-1].created)
    assert [experiment.id for experiment in page + rest] == ids


@pytest.mark.parametrize("what", ["experiment", "run"])
def test_an_unknown_id_is_named(store: RunStore, what: str) -> None:
    with pytest.raises(NotFoundError, match="'nope'"):
        getattr(store, what)("nope")


def test_one_of_many_workers_gets_the_run(store: RunStore, run_ids: list[str]) -> None:
    together = threading.Barrier(8)

    def claim(worker: int) -> Run | None:
        together.wait()
        return store.claim(run_ids[0], f"worker {worker}", 15)

    with ThreadPoolExecutor(8) as threads:
        winners = [run for run in threads.map(claim, range(8)) if run]
    assert len(winners) == 1
    assert store.run(run_ids[0]).owner == winners[0].owner
    assert [run.id for run in store.waiting()] == run_ids[1:]


@pytest.mark.parametrize(("before", "after"), list(itertools.product(RunState, RunState)))
def test_only_the_transitions_of_the_table_are_possible(
    store: RunStore, run_ids: list[str], before: RunState, after: RunState
) -> None:
    bring_to(store, run_ids[0], before)
    history = store.transitions(run_id=run_ids[0])
    with store._write() as session:
        run = session.get(Run, run_ids[0])
        assert run is not None
        if after in TRANSITIONS[before]:
            _move(session, run, after, by="test")
        else:
            with pytest.raises(IllegalTransitionError):
                _move(session, run, after, by="test")
    legal = after in TRANSITIONS[before]
    assert store.run(run_ids[0]).state == (after if legal else before)
    assert len(store.transitions(run_id=run_ids[0])) == len(history) + legal


def bring_to(store: RunStore, run_id: str, state: RunState) -> None:
    if state is RunState.QUEUED:
        return
    store.claim(run_id, "worker", 15)
    if state in (RunState.STOPPING, RunState.STOPPED):
        store.request_stop(run_id, "user")
    if not TRANSITIONS[state]:
        assert store.end(run_id, "worker", state, "test")


def test_every_change_of_state_is_kept_with_who_and_why(store: RunStore, run_ids: list[str]) -> None:
    bring_to(store, run_ids[0], RunState.STOPPED)
    history = store.transitions(run_id=run_ids[0])
    assert [(item.before, item.after, item.owner) for item in history] == [
        (None, "queued", ""),
        ("queued", "running", "worker"),
        ("running", "stopping", "user"),
        ("stopping", "stopped", "worker"),
    ]
    assert [item.id for item in store.transitions(after=history[1].id or 0, run_id=run_ids[0])] == [
        item.id for item in history[2:]
    ]


def test_a_worker_that_lost_its_run_cannot_touch_it(store: RunStore, run_ids: list[str]) -> None:
    run_id = run_ids[0]
    store.claim(run_id, "worker", 15)
    assert store.renew(run_id, "other", 15) is None
    assert not store.record(run_id, "other", [line(1, loss=1.0)])
    assert not store.end(run_id, "other", RunState.FINISHED, "finished")
    assert store.run(run_id).state == RunState.RUNNING
    assert store.metrics(None, after=0) == []

    assert store.renew(run_id, "worker", 15) is RunState.RUNNING
    store.request_stop(run_id, "user")
    assert store.renew(run_id, "worker", 15) is RunState.STOPPING


def test_stopping(store: RunStore, run_ids: list[str]) -> None:
    queued, running = run_ids
    store.claim(running, "worker", 15)
    assert store.request_stop(queued, "user").state == RunState.STOPPED
    assert store.request_stop(running, "user").state == RunState.STOPPING
    assert store.request_stop(running, "user").state == RunState.STOPPING
    assert store.request_stop(queued, "user").state == RunState.STOPPED
    assert store.claim(queued, "worker", 15) is None
    with pytest.raises(NotFoundError):
        store.request_stop("nope", "user")


def test_a_silent_worker_loses_its_run(store: RunStore, run_ids: list[str]) -> None:
    store.claim(run_ids[0], "worker", 15)
    assert store.expire_leases(time.time()) == []
    assert [run.id for run in store.expire_leases(time.time() + 16)] == [run_ids[0]]
    run = store.run(run_ids[0])
    assert run.state == RunState.INTERRUPTED
    assert run.failure is not None
    assert run.failure["code"] == "lost_worker"
    assert run.failure["remedy"]
    assert store.renew(run_ids[0], "worker", 15) is None
    assert store.expire_leases(time.time() + 32) == []


def test_metrics_are_read_by_cursor_and_stored_once(store: RunStore, run_ids: list[str]) -> None:
    for run_id in run_ids:
        store.claim(run_id, "worker", 15)
    store.record(run_ids[0], "worker", [line(1), line(2, loss=2.0), line(3, loss=1.5, tokens_per_second=900.0)])
    store.record(run_ids[1], "worker", [line(1, loss=3.0)])
    first = store.metrics(None, after=0)
    store.record(run_ids[0], "worker", [line(2, loss=2.0), line(3, loss=1.5), line(4, loss=1.0)])
    news = store.metrics(None, after=first[-1].cursor or 0)

    assert [(point.run_id, point.line, point.values["loss"]) for point in first + news] == [
        (run_ids[0], 2, 2.0),
        (run_ids[0], 3, 1.5),
        (run_ids[1], 1, 3.0),
        (run_ids[0], 4, 1.0),
    ]
    cursors = [point.cursor or 0 for point in first + news]
    assert cursors == sorted(set(cursors))
    assert [point.line for point in store.metrics([run_ids[1]], after=0)] == [1]
    assert store.metrics([], after=0) == []
    run = store.run(run_ids[0])
    assert (run.step, run.total_steps, run.phase, run.tokens_per_second) == (40, 160, "training", 900.0)


def test_the_same_data_set_twice_is_one(store: RunStore) -> None:
    for _ in range(2):
        stored = store.add_dataset(Dataset(id="ds_1", name="a.csv", suffix=".csv", bytes=3, rows=1))
        assert stored.name == "a.csv"
    assert [dataset.id for dataset in store.datasets()] == ["ds_1"]
    assert store.dataset("ds_2") is None
